package main

import (
	"context"
	"log/slog"
	"os"
	"time"
)

const hookTimeout = 30 * time.Second

// hook runs a command for each new commit, concurrently with the sync loop. It retries until the command succeeds,
// always with the newest commit, so it can skip commits.
type hook struct {
	options
	repo   *repository
	newest chan string // holds at most one commit, which send replaces
}

func newHook(o options, repo *repository) *hook {
	return &hook{options: o, repo: repo, newest: make(chan string, 1)}
}

// send passes a commit to run. It supports a single sender.
func (h *hook) send(hash string) {
	select {
	case <-h.newest:
	default:
	}
	h.newest <- hash
}

// run executes the hook until ctx is done.
func (h *hook) run(ctx context.Context) {
	var hash, done string
	for {
		select {
		case <-ctx.Done():
			return
		case hash = <-h.newest:
		}
		for hash != done && h.exechookCommand != "" {
			if err := h.execute(ctx, hash); err == nil {
				slog.Info("hook succeeded", "commit", hash)
				done = hash
				continue
			} else if ctx.Err() == nil {
				slog.Error("hook failed, will retry", "commit", hash, "in", h.exechookBackoff.String(), "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(h.exechookBackoff):
			}
			select {
			case hash = <-h.newest:
			default:
			}
		}
	}
}

func (h *hook) execute(ctx context.Context, hash string) error {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	environment := append(os.Environ(), "GITSYNC_HASH="+hash)
	_, err := output(ctx, h.repo.worktree(hash), environment, h.exechookCommand)
	return err
}
