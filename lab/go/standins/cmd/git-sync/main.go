// Command git-sync is an offline stand-in for git-sync v4.7.1, for machines where that image is not to be had.
// It drives the real git, honours what this project's manifests use and refuses everything else. The upstream program
// ignores environment names that it does not know; the stand-in does not, so that a spelling mistake is seen.
// tests/contract says what the two have in common.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"git-to-pod/lab/standins/internal/reaper"
)

const (
	banner      = "STAND-IN for git-sync v4.7.1"
	syncTimeout = 2 * time.Minute

	exitFailed     = 1
	exitRefused    = 2
	exitTerminated = 128 + int(syscall.SIGTERM)
)

func main() {
	if os.Getpid() == 1 {
		code, err := reaper.Rerun()
		if err != nil {
			fail(exitFailed, fmt.Errorf("cannot start as a child of the init process: %w", err))
		}
		os.Exit(code)
	}
	options, err := parseOptions(os.Args[1:], os.Environ())
	if err != nil {
		fail(exitRefused, err)
	}
	if options.version {
		fmt.Println(banner)
		return
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	slog.Info(banner+": same behaviour for what the manifests use, not the same program", "pid", os.Getpid())
	if err := options.validate(); err != nil {
		fail(exitFailed, err)
	}
	os.Exit(run(options))
}

func fail(code int, err error) {
	fmt.Fprintf(os.Stderr, "git-sync (%s): %v\n", banner, err)
	os.Exit(code)
}

// run syncs until it is told to stop, or until the failures are too many, and returns the exit code.
func run(options options) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	repo, err := openRepository(options)
	if err != nil {
		slog.Error("cannot prepare git", "error", err)
		return exitFailed
	}
	var ready atomic.Bool
	if options.httpBind != "" {
		if err := serveReadiness(options.httpBind, &ready); err != nil {
			slog.Error("cannot serve HTTP", "error", err)
			return exitFailed
		}
	}
	hook := newHook(options, repo)
	var running sync.WaitGroup
	running.Go(func() { hook.run(ctx) })
	defer running.Wait()

	for failures, first := 0, true; ; {
		changed, hash, err := repo.sync(ctx)
		switch {
		case ctx.Err() != nil:
			return exitTerminated
		case err != nil:
			failures++
			if limit := options.failureLimit(first); limit >= 0 && failures >= limit {
				slog.Error("sync failed, giving up", "failures", failures, "limit", limit, "error", err)
				stop()
				return exitFailed
			}
			slog.Error("sync failed, will retry", "failures", failures, "in", options.period.String(), "error", err)
		default:
			failures = 0
			ready.Store(true)
			if changed || first { // also after a restart: the hook may not have succeeded before it
				hook.send(hash)
			}
			first = false
			if err := repo.removeStale(ctx); err != nil {
				slog.Error("cannot remove old worktrees", "error", err)
			}
			if hash == options.ref {
				slog.Info("the ref is a full commit id: nothing more to sync", "ref", options.ref)
				<-ctx.Done()
			}
		}
		select {
		case <-ctx.Done():
			return exitTerminated
		case <-time.After(options.period):
		}
	}
}

// serveReadiness answers 503 until the first sync and 200 ever after, whatever the path.
func serveReadiness(address string, ready *atomic.Bool) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(response, "not synced yet", http.StatusServiceUnavailable)
		}
	})
	go func() {
		slog.Error("HTTP server ended", "error", http.Serve(listener, handler))
		os.Exit(exitFailed)
	}()
	return nil
}
