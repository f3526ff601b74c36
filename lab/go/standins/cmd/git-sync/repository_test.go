package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// synced opens a repository with the default settings and syncs it once.
func synced(t *testing.T, url string) (*repository, string, error) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("this machine has no git")
	}
	o, err := parseOptions([]string{"--root=" + t.TempDir(), "--link=current"}, []string{"GITSYNC_REPO=" + url})
	if err != nil {
		t.Fatal(err)
	}
	for name := range gitEnvironment(o) {
		t.Setenv(name, "") // restores the variable at the end of the test
	}
	repo, err := openRepository(o)
	if err != nil {
		t.Fatal(err)
	}
	_, hash, err := repo.sync(t.Context())
	return repo, hash, err
}

func commit(t *testing.T, folder, message string) string {
	t.Helper()
	author := []string{"-c", "user.name=test", "-c", "user.email=test@example.test"}
	arguments := append(author, "commit", "--quiet", "--allow-empty", "--message="+message)
	_, err := output(t.Context(), folder, os.Environ(), "git", arguments...)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := output(t.Context(), folder, os.Environ(), "git", "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestWithoutARefTheRemoteHeadIsFollowed(t *testing.T) {
	remote := t.TempDir()
	_, err := output(t.Context(), remote, os.Environ(), "git", "init", "--quiet", "--initial-branch=trunk")
	if err != nil {
		t.Skip(err)
	}
	first := commit(t, remote, "first")
	repo, hash, err := synced(t, "file://"+remote)
	if err != nil || hash != first || repo.current() != first {
		t.Fatalf("got %s, %s, %v, want %s", hash, repo.current(), err, first)
	}
	second := commit(t, remote, "second")
	if _, hash, err := repo.sync(t.Context()); err != nil || hash != second || repo.current() != second {
		t.Errorf("got %s, %s, %v, want %s", hash, repo.current(), err, second)
	}
	if err := repo.removeStale(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(repo.root, ".worktrees", "*")); len(left) != 1 {
		t.Errorf("worktrees left: %q", left)
	}
}

func TestGitUsesTheProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9")
	t.Setenv("NO_PROXY", "")
	_, _, err := synced(t, "https://git.example.test/content.git")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("git did not name the proxy: %v", err)
	}
}

func TestGitTrustsTheCAOfTheEnvironment(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		requests.Add(1)
		http.NotFound(response, request)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NO_PROXY", "127.0.0.1")
	for _, c := range []struct {
		ca      string
		trusted bool
	}{{"", false}, {ca, true}} {
		t.Setenv("GIT_SSL_CAINFO", c.ca)
		if c.ca == "" {
			os.Unsetenv("GIT_SSL_CAINFO")
		}
		if _, _, err := synced(t, server.URL+"/content.git"); err == nil || (requests.Load() > 0) != c.trusted {
			t.Errorf("GIT_SSL_CAINFO=%s: %d requests, %v", c.ca, requests.Load(), err)
		}
	}
}
