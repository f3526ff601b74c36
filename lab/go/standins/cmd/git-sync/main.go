// Command git-sync is an offline stand-in for git-sync v4.7.1, for machines that cannot pull that image.
// It runs the real git, implements the settings that this project uses and rejects all others. Upstream ignores unknown
// environment variables; the stand-in rejects those too, so that a misspelled name does not go unnoticed.
// tests/contract specifies the behaviour that the two share.
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
	banner = "STAND-IN for git-sync v4.7.1"

	exitFailed     = 1
	exitRefused    = 2
	exitTerminated = 128 + int(syscall.SIGTERM)
)

func main() {
	if os.Getpid() == 1 {
		code, err := reaper.Rerun()
		if err != nil {
			fail(exitFailed, fmt.Errorf("cannot start the child process: %w", err))
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
	slog.Info(banner+", not the upstream program", "pid", os.Getpid())
	if err := options.validate(); err != nil {
		fail(exitFailed, err)
	}
	os.Exit(run(options))
}

func fail(code int, err error) {
	fmt.Fprintf(os.Stderr, "git-sync (%s): %v\n", banner, err)
	os.Exit(code)
}

// run syncs until a signal arrives or the failure limit is reached. It returns the exit code.
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
			if changed || first { // first: the hook may not have succeeded before a restart
				hook.send(hash)
			}
			first = false
			if err := repo.removeStale(ctx); err != nil {
				slog.Error("cannot remove old worktrees", "error", err)
			}
			if hash == options.ref {
				slog.Info("the ref is a full commit hash, so polling ends", "ref", options.ref)
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

// serveReadiness answers 503 until the first sync and 200 from then on, for every path.
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
