package main

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The fields of API objects that the stand-in uses.
type (
	metadata struct {
		Name, UID, ResourceVersion string
		Annotations                map[string]string
	}
	configMapList struct {
		Metadata metadata
		Items    []configMap
	}
	configMap struct {
		Metadata   metadata
		Data       map[string]string
		BinaryData map[string][]byte
	}
	workloadList struct{ Items []workload }
	workload     struct {
		Metadata metadata
		Spec     struct {
			Template struct {
				Metadata metadata
				Spec     podSpec
			}
		}
	}
	podSpec struct {
		Containers     []container
		InitContainers []container
		Volumes        []volume
	}
	volume struct {
		Name      string
		ConfigMap *reference
		Projected struct {
			Sources []struct{ ConfigMap *reference }
		}
	}
	container struct {
		Name         string
		VolumeMounts []reference
		Env          []struct {
			Name, Value string
			ValueFrom   struct{ ConfigMapKeyRef *reference }
		}
		EnvFrom []struct{ ConfigMapRef *reference }
	}
	reference struct{ Name string }
)

func (r *reference) is(name string) bool { return r != nil && r.Name == name }

// hash covers the data alone, so a change of metadata triggers nothing.
func (c configMap) hash() string {
	var entries []string
	for key, value := range c.Data {
		entries = append(entries, key+"="+value)
	}
	for key, value := range c.BinaryData {
		entries = append(entries, key+"="+base64.StdEncoding.EncodeToString(value))
	}
	slices.Sort(entries)
	return fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(entries, ";"))))
}

var notInNames = regexp.MustCompile(`[^A-Z0-9]+`)

// stampName is the name of the environment variable that holds the hash.
func (c configMap) stampName() string {
	name := notInNames.ReplaceAllString(strings.ToUpper(c.Metadata.Name), "_")
	return "STAKATER_" + strings.TrimPrefix(name, "_") + "_CONFIGMAP"
}

const annotation = "configmap.reloader.stakater.com/reload"

// wants reports whether the annotation names the ConfigMap. The workload's annotation takes precedence over that of its
// pod template. It is a list of regular expressions, each for the whole name.
func (w workload) wants(name string) (bool, error) {
	list, found := w.Metadata.Annotations[annotation]
	if !found {
		list = w.Spec.Template.Metadata.Annotations[annotation]
	}
	for _, pattern := range strings.Split(list, ",") {
		whole, err := regexp.Compile("^" + strings.TrimSpace(pattern) + "$")
		if err != nil {
			return false, fmt.Errorf("annotation %s of %s: %w", annotation, w.Metadata.Name, err)
		}
		if whole.MatchString(name) {
			return true, nil
		}
	}
	return false, nil
}

// user is the container to stamp: the first one that mounts the ConfigMap, else the first one that has it in its
// environment. If only an init container does so (a native sidecar is one), it is the pod's first container. It is the
// first container as well if no container uses the ConfigMap. A pod without containers has none to stamp.
func (p podSpec) user(name string) *container {
	if len(p.Containers) == 0 {
		return nil
	}
	var mounted string
	for _, v := range p.Volumes {
		if mounted == "" && (v.ConfigMap.is(name) || v.projects(name)) {
			mounted = v.Name
		}
	}
	mounts := func(c container) bool {
		return mounted != "" && slices.Contains(c.VolumeMounts, reference{mounted})
	}
	reads := func(c container) bool { return c.reads(name) }
	for _, uses := range []func(container) bool{mounts, reads} {
		if i := slices.IndexFunc(p.Containers, uses); i >= 0 {
			return &p.Containers[i]
		}
		if slices.ContainsFunc(p.InitContainers, uses) {
			break
		}
	}
	return &p.Containers[0]
}

func (v volume) projects(name string) bool {
	for _, source := range v.Projected.Sources {
		if source.ConfigMap.is(name) {
			return true
		}
	}
	return false
}

func (c container) reads(name string) bool {
	for _, variable := range c.Env {
		if variable.ValueFrom.ConfigMapKeyRef.is(name) {
			return true
		}
	}
	for _, source := range c.EnvFrom {
		if source.ConfigMapRef.is(name) {
			return true
		}
	}
	return false
}

// stamp is the value of the named environment variable, or "".
func (c container) stamp(name string) string {
	for _, variable := range c.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}
