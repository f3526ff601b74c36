package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

const retries = 5 // then the change is dropped, as by upstream

// reloads triggers the rollouts for a changed ConfigMap.
type reloads struct {
	api               *api
	succeeded, failed atomic.Int64
}

// apply triggers a rollout of every Deployment whose annotation names the ConfigMap. It retries after an API error.
func (r *reloads) apply(ctx context.Context, changed configMap) {
	pause := 5 * time.Millisecond
	for attempt := 0; ; attempt, pause = attempt+1, 2*pause {
		err := r.restartUsers(ctx, changed)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case attempt == retries:
			slog.Error("dropped a change", "configmap", changed.Metadata.Name, "error", err)
			return
		}
		slog.Error("reload failed, will retry", "configmap", changed.Metadata.Name, "error", err)
		time.Sleep(pause)
	}
}

func (r *reloads) restartUsers(ctx context.Context, changed configMap) error {
	for _, deployment := range r.list(ctx, "deployments") {
		wanted, err := deployment.wants(changed.Metadata.Name)
		if err != nil {
			fail(err) // upstream exits on an invalid pattern, too
		}
		if wanted {
			if err := r.restart(ctx, deployment, changed); err != nil {
				return err
			}
		}
	}
	// Upstream lists these at every change, so the Role must allow it. The stand-in does the same.
	for _, resource := range []string{"daemonsets", "statefulsets"} {
		for _, other := range r.list(ctx, resource) {
			if wanted, err := other.wants(changed.Metadata.Name); wanted || err != nil {
				slog.Error("the stand-in reloads only Deployments", "resource", resource, "name", other.Metadata.Name)
			}
		}
	}
	return nil
}

// list logs an API error and returns no items, like upstream, which then loses the change.
func (r *reloads) list(ctx context.Context, resource string) []workload {
	var list workloadList
	if err := r.api.do(ctx, http.MethodGet, r.api.apps(resource), "", nil, &list); err != nil {
		slog.Error("cannot list", "resource", resource, "error", err)
	}
	return list.Items
}

// restart stamps the hash into the pod template, unless the template already has it.
func (r *reloads) restart(ctx context.Context, deployment workload, changed configMap) error {
	container := deployment.Spec.Template.Spec.user(changed.Metadata.Name)
	stamp, hash := changed.stampName(), changed.hash()
	if container == nil || container.stamp(stamp) == hash {
		return nil
	}
	type object = map[string]any
	stamped := object{"name": container.Name, "env": []object{{"name": stamp, "value": hash}}}
	patch := object{"spec": object{"template": object{"spec": object{"containers": []object{stamped}}}}}
	path := r.api.apps("deployments") + "/" + deployment.Metadata.Name + "?fieldManager=Reloader"
	err := r.api.do(ctx, http.MethodPatch, path, "application/strategic-merge-patch+json", patch, nil)
	if err != nil {
		r.failed.Add(1)
		r.record(ctx, deployment, "Warning", "ReloadFail", err.Error())
		return err
	}
	r.succeeded.Add(1)
	message := fmt.Sprintf("ConfigMap %s changed: patched Deployment %s",
		changed.Metadata.Name, deployment.Metadata.Name)
	slog.Info(message, "stamp", hash)
	r.record(ctx, deployment, "Normal", "Reloaded", message)
	return nil
}

// record creates an Event for the Deployment. If that fails, the reload still counts as done.
func (r *reloads) record(ctx context.Context, deployment workload, kind, reason, message string) {
	now := time.Now()
	event := map[string]any{
		"metadata": map[string]string{"name": fmt.Sprintf("%s.%x", deployment.Metadata.Name, now.UnixNano())},
		"involvedObject": map[string]string{
			"apiVersion": "apps/v1", "kind": "Deployment", "namespace": r.api.namespace,
			"name": deployment.Metadata.Name, "uid": deployment.Metadata.UID,
		},
		"type": kind, "reason": reason, "message": message, "count": 1,
		"firstTimestamp": now.UTC().Format(time.RFC3339), "lastTimestamp": now.UTC().Format(time.RFC3339),
		"source": map[string]string{"component": "reloader-configmaps"},
	}
	if err := r.api.do(ctx, http.MethodPost, r.api.core("events"), "application/json", event, nil); err != nil {
		slog.Error("cannot record an event", "error", err)
	}
}
