package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// repository is a shallow clone in root/.git with one worktree per commit, in root/.worktrees/<commit>.
type repository struct {
	options
	synced bool // since this process started
}

// openRepository creates the root and configures git by environment variables, which the hook inherits.
func openRepository(o options) (*repository, error) {
	syscall.Umask(0o022)
	if err := os.MkdirAll(o.root, 0o775); err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(o.root) // git prints resolved paths, and sound compares them
	if err != nil {
		return nil, err
	}
	o.root = root
	if !filepath.IsAbs(o.link) {
		o.link = filepath.Join(o.root, o.link)
	}
	for name, value := range gitEnvironment(o) {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return &repository{options: o}, nil
}

// readCredentials is a credential helper for git. It reads the file each time git calls it: no argument and no cache
// holds the password, and the next sync uses a rotated one.
const readCredentials = `!f() { [ "$1" != get ] || ` +
	`printf 'username=%s\npassword=%s\n' "$GITSYNC_USERNAME" "$(cat "$GITSYNC_PASSWORD_FILE")"; }; f`

func gitEnvironment(o options) map[string]string {
	settings := []setting{
		{"safe.directory", "*"}, // root owns the volume
		{"gc.autoDetach", "false"},
	}
	if o.username != "" {
		host := o.repo
		if parsed, err := url.Parse(o.repo); err == nil { // without the path, which a redirect may change
			host = parsed.Scheme + "://" + parsed.Host
		}
		settings = append(settings, setting{"credential." + host + ".helper", readCredentials})
	}
	settings = append(settings, o.gitConfig...)
	environment := map[string]string{
		"GIT_CONFIG_NOSYSTEM": "true",
		"GIT_CONFIG_GLOBAL":   os.DevNull,
		"GIT_CONFIG_COUNT":    strconv.Itoa(len(settings)),
		"GIT_TERMINAL_PROMPT": "0",
		"GIT_SSH_COMMAND": fmt.Sprintf("ssh -i %s -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%s",
			o.sshKeyFile, o.sshKnownHostFile),
	}
	for i, s := range settings {
		environment[fmt.Sprintf("GIT_CONFIG_KEY_%d", i)] = s.key
		environment[fmt.Sprintf("GIT_CONFIG_VALUE_%d", i)] = s.value
	}
	return environment
}

// sync fetches the ref. If it is a new commit, sync checks it out and points the link to it.
func (r *repository) sync(ctx context.Context) (changed bool, hash string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.syncTimeout)
	defer cancel()
	if r.passwordFile != "" {
		if _, err := os.ReadFile(r.passwordFile); err != nil {
			return false, "", fmt.Errorf("cannot read the password: %w", err)
		}
	}
	if err := r.initialise(ctx); err != nil {
		return false, "", err
	}
	if _, err := r.git(ctx, r.root, "fetch", "--depth=1", "--no-auto-gc", "--no-progress", "--",
		r.repo, r.ref); err != nil {
		return false, "", err
	}
	if hash, err = r.git(ctx, r.root, "rev-parse", "FETCH_HEAD^{commit}"); err != nil {
		return false, "", err
	}
	current := r.current()
	if current == hash && !r.sound(ctx, r.worktree(hash)) {
		slog.Warn("the worktree is damaged, recreating it", "commit", hash)
		current = ""
	}
	changed = current != hash
	if !changed && r.synced {
		return false, hash, nil
	}
	if err := r.checkout(ctx, hash, changed); err != nil {
		return false, "", err
	}
	if changed {
		if err := r.publish(hash); err != nil {
			return false, "", err
		}
	}
	r.synced = true
	slog.Info("synced", "ref", r.ref, "from", current, "to", hash)
	return changed, hash, nil
}

// initialise deletes the root's content and creates an empty clone, unless the root already has a sound one.
func (r *repository) initialise(ctx context.Context) error {
	_, locked := os.Stat(filepath.Join(r.root, ".git", "shallow.lock")) // a killed git leaves it
	if errors.Is(locked, fs.ErrNotExist) && r.sound(ctx, r.root) {
		return nil
	}
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return err
	}
	slog.Info("the root has no sound clone, creating one", "root", r.root, "deleted", len(entries))
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(r.root, entry.Name())); err != nil {
			return err
		}
	}
	_, err = r.git(ctx, r.root, "init", "--quiet", "--initial-branch=git-sync")
	return err
}

// sound reports whether folder is the top of a complete git tree. A worktree's HEAD must also match the folder's name.
func (r *repository) sound(ctx context.Context, folder string) bool {
	top, err := r.git(ctx, folder, "rev-parse", "--show-toplevel")
	if err != nil || top != folder {
		return false
	}
	if folder != r.root {
		if head, err := r.git(ctx, folder, "rev-parse", "HEAD"); err != nil || head != filepath.Base(folder) {
			return false
		}
	}
	_, err = r.git(ctx, folder, "fsck", "--no-progress", "--connectivity-only")
	return err == nil
}

// checkout writes the files of a commit into its worktree. With create, it creates the worktree first.
func (r *repository) checkout(ctx context.Context, hash string, create bool) error {
	worktree := r.worktree(hash)
	// With the branch on that commit, the next fetch transfers only the difference.
	if _, err := r.git(ctx, r.root, "reset", "--soft", hash, "--"); err != nil {
		return err
	}
	if create {
		if err := os.RemoveAll(worktree); err != nil {
			return err
		}
		if _, err := r.git(ctx, r.root, "worktree", "prune"); err != nil {
			return err
		}
		if _, err := r.git(ctx, r.root, "worktree", "add", "--force", "--detach", "--no-checkout",
			worktree, hash); err != nil {
			return err
		}
	}
	// A relative pointer lets another container mount the volume elsewhere.
	pointer := "gitdir: " + filepath.Join("..", "..", ".git", "worktrees", hash) + "\n"
	if err := os.WriteFile(filepath.Join(worktree, ".git"), []byte(pointer), 0o644); err != nil {
		return err
	}
	if _, err := r.git(ctx, worktree, "reset", "--hard", "--quiet", hash, "--"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(worktree, ".gitmodules")); err == nil && r.submodules != "off" {
		return fmt.Errorf("commit %s has submodules, which the stand-in does not support; use the upstream image", hash)
	}
	return nil
}

// publish points the link to the commit's worktree, atomically.
func (r *repository) publish(hash string) error {
	folder := filepath.Dir(r.link)
	if err := os.MkdirAll(folder, 0o775); err != nil {
		return err
	}
	target, err := filepath.Rel(folder, r.worktree(hash)) // relative, like the pointer in checkout
	if err != nil {
		return err
	}
	next := filepath.Join(folder, "tmp-link")
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, next); err != nil {
		return err
	}
	return os.Rename(next, r.link)
}

// removeStale deletes all worktrees but the current one, and their objects.
func (r *repository) removeStale(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(r.root, ".worktrees"))
	if err != nil {
		return err
	}
	removed := false
	for _, entry := range entries {
		if entry.Name() == r.current() {
			continue
		}
		if err := os.RemoveAll(r.worktree(entry.Name())); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	for _, command := range [][]string{
		{"worktree", "prune"},
		{"reflog", "expire", "--expire-unreachable=all", "--all"},
		{"gc", "--quiet", "--prune=now"},
	} {
		if _, err := r.git(ctx, r.root, command...); err != nil {
			return err
		}
	}
	return nil
}

// current is the commit that the link points to, or "".
func (r *repository) current() string {
	target, err := os.Readlink(r.link)
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

func (r *repository) worktree(hash string) string {
	return filepath.Join(r.root, ".worktrees", hash)
}

func (r *repository) git(ctx context.Context, folder string, arguments ...string) (string, error) {
	return output(ctx, folder, os.Environ(), "git", arguments...)
}
