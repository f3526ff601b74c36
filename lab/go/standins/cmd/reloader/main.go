// Command reloader is an offline stand-in for Reloader v1.4.21, for machines that cannot pull that image.
// It watches the ConfigMaps of one namespace. When one changes, it patches the Deployments whose annotation names it.
// The patch writes a hash of the data into a container's environment, which starts a rollout. The stand-in implements
// the flags that this project's manifests use and rejects all others. tests/contract specifies the behaviour that it
// shares with upstream.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	banner        = "STAND-IN for Reloader v1.4.21"
	listenAddress = ":9090"
)

func main() {
	slog.Info(banner + ", not the upstream program")
	options, err := parseOptions(os.Args[1:], os.Getenv("KUBERNETES_NAMESPACE"))
	if err != nil {
		fail(err)
	}
	api, err := inCluster(options.namespace)
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reloads := &reloads{api: api}
	go serve(reloads)

	changes := make(chan configMap, 1024) // handled one by one, in order: upstream does not coalesce a burst either
	go func() {
		for changed := range changes {
			reloads.apply(ctx, changed)
		}
	}()
	watch(ctx, api, options.onCreate, changes)
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "reloader (%s): %v\n", banner, err)
	os.Exit(1)
}

// serve answers the liveness probe and exposes a count of the reloads to Prometheus.
func serve(reloads *reloads) {
	http.HandleFunc("/live", func(response http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(response, "alive")
	})
	http.HandleFunc("/metrics", func(response http.ResponseWriter, _ *http.Request) {
		const counter = "reloader_reload_executed_total"
		_, _ = fmt.Fprintf(response, "# TYPE %s counter\n%s{success=\"true\"} %d\n%s{success=\"false\"} %d\n",
			counter, counter, reloads.succeeded.Load(), counter, reloads.failed.Load())
	})
	fail(http.ListenAndServe(listenAddress, nil))
}

type options struct {
	namespace string
	onCreate  bool // also handle ConfigMaps that exist at the start, and those created later
}

func parseOptions(arguments []string, namespace string) (options, error) {
	flags := flag.NewFlagSet("reloader", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error below is one line
	onCreate := flags.String("reload-on-create", "false", "")
	afterRestart := flags.Bool("sync-after-restart", false, "")
	resources := flags.String("resources-to-ignore", "", "")
	workloads := flags.String("ignored-workload-types", "", "")
	err := flags.Parse(arguments)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case err != nil:
		var known []string
		flags.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
		err = fmt.Errorf("%w: the stand-in implements only %s; use the upstream image for other flags",
			err, strings.Join(known, " "))
	case *resources != "secrets":
		err = fmt.Errorf("--resources-to-ignore is %q, expected secrets: the stand-in watches only ConfigMaps", *resources)
	case *workloads != "jobs,cronjobs":
		err = fmt.Errorf("--ignored-workload-types is %q, expected jobs,cronjobs: the stand-in supports neither", *workloads)
	case namespace == "":
		err = errors.New("environment variable KUBERNETES_NAMESPACE is missing: the stand-in watches one namespace")
	}
	// Upstream handles a create only once its watch of Secrets has begun, or with --sync-after-restart. Secrets are
	// ignored here, so --reload-on-create needs --sync-after-restart.
	return options{namespace: namespace, onCreate: *onCreate == "true" && *afterRestart}, err
}

// watch sends each ConfigMap whose data changed, until ctx is done. The next list finds changes that the watch missed
// while it was disconnected.
func watch(ctx context.Context, api *api, onCreate bool, changes chan<- configMap) {
	known := map[string]string{} // the hash of the data, by name
	see := func(seen configMap) {
		hash := seen.hash()
		before, existed := known[seen.Metadata.Name]
		known[seen.Metadata.Name] = hash
		if hash != before && (existed || onCreate) {
			changes <- seen
		}
	}
	for ctx.Err() == nil {
		if err := listAndFollow(ctx, api, known, see); err != nil && ctx.Err() == nil {
			slog.Error("the watch of ConfigMaps ended, will list again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func listAndFollow(ctx context.Context, api *api, known map[string]string, see func(configMap)) error {
	var list configMapList
	if err := api.do(ctx, http.MethodGet, api.core("configmaps"), "", nil, &list); err != nil {
		return err
	}
	slog.Info("watching ConfigMaps", "namespace", api.namespace, "count", len(list.Items))
	listed := map[string]bool{}
	for _, item := range list.Items {
		listed[item.Metadata.Name] = true
		see(item)
	}
	for name := range known {
		if !listed[name] {
			delete(known, name)
		}
	}
	version := list.Metadata.ResourceVersion
	for {
		// follow ends without an error at the watch's timeout. The next watch continues from the same version.
		began := time.Now()
		err := api.follow(ctx, "configmaps", version, func(kind string, seen configMap) {
			version = seen.Metadata.ResourceVersion
			switch kind {
			case "ADDED", "MODIFIED":
				see(seen)
			case "DELETED":
				delete(known, seen.Metadata.Name)
			}
		})
		if err == nil && time.Since(began) < time.Second {
			err = errors.New("the server ended the watch at once")
		}
		if err != nil {
			return err
		}
	}
}
