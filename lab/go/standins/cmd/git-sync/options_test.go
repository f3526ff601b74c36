package main

import (
	"reflect"
	"testing"
	"time"
)

var (
	pollerArguments   = []string{"--exechook-command=/hook", "--exechook-backoff=1s", "--http-bind=:8080"}
	pollerEnvironment = []string{"PATH=/bin", "GITSYNC_ROOT=/git", "GITSYNC_REPO=https://git.example.test/content.git",
		"GITSYNC_REF=main", "GITSYNC_PERIOD=1s", "GITSYNC_LINK=current", "GITSYNC_MAX_FAILURES=-1",
		"GITSYNC_INIT_MAX_FAILURES=-1", "GITSYNC_SUBMODULES=off", "GITSYNC_GIT_CONFIG=core.bigFileThreshold:16m",
		"GITSYNC_USERNAME=reader", "GITSYNC_PASSWORD_FILE=/password", "GIT_SSL_CAINFO=/ca.crt",
		"HTTPS_PROXY=http://proxy.example.test", "NO_PROXY=.example.com"}
)

func with(list []string, more ...string) []string {
	return append(append([]string{}, list...), more...)
}

func TestTheSettingsOfTheManifestsAreAccepted(t *testing.T) {
	got, err := parseOptions(pollerArguments, pollerEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	want := options{root: "/git", link: "current", maxFailures: -1, initMaxFailures: -1, initLimitIsSet: true,
		exechookCommand: "/hook", exechookBackoff: time.Second, httpBind: ":8080", submodules: "off",
		repo: "https://git.example.test/content.git", ref: "main", period: time.Second, syncTimeout: 2 * time.Minute,
		username: "reader", passwordFile: "/password", gitConfig: []setting{{"core.bigFileThreshold", "16m"}},
		sshKeyFile: "/etc/git-secret/ssh", sshKnownHostFile: "/etc/git-secret/known_hosts"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := got.validate(); err != nil {
		t.Error(err)
	}
}

func TestAFlagOverridesTheEnvironment(t *testing.T) {
	got, err := parseOptions(
		[]string{"--root=/other", "--link=link", "--max-failures=3", "--init-max-failures=2"}, pollerEnvironment)
	if err != nil || got.root != "/other" || got.link != "link" || got.maxFailures != 3 || got.initMaxFailures != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDefaults(t *testing.T) {
	got, err := parseOptions(nil, []string{"GITSYNC_REPO=https://git.example.test/content.git"})
	want := options{link: "content.git", exechookBackoff: 3 * time.Second, submodules: "recursive", ref: "HEAD",
		repo: "https://git.example.test/content.git", period: 10 * time.Second, syncTimeout: 2 * time.Minute,
		sshKeyFile: "/etc/git-secret/ssh", sshKnownHostFile: "/etc/git-secret/known_hosts"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestOtherSettingsAreRejected(t *testing.T) {
	for _, c := range []struct{ arguments, environment []string }{
		{with(pollerArguments, "--webhook-url=http://x"), pollerEnvironment},
		{with(pollerArguments, "-v"), pollerEnvironment},
		{with(pollerArguments, "more"), pollerEnvironment},
		{with(pollerArguments, "--max-failures=x"), pollerEnvironment},
		{with(pollerArguments, "--stale-worktree-timeout=1m"), pollerEnvironment},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_MAX_FAILURES=x")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_INIT_MAX_FAILURES=")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_BRANCH=main")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_PASSWORD=secret")},
		{pollerArguments, with(pollerEnvironment, "GIT_SYNC_WAIT=10")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_PERIOD=10")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_SYNC_TIMEOUT=10")},
		{pollerArguments, with(pollerEnvironment, `GITSYNC_GIT_CONFIG="a.b":"c"`)},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_GIT_CONFIG=a.b")},
	} {
		if _, err := parseOptions(c.arguments, c.environment); err == nil {
			t.Errorf("accepted: %q %q", c.arguments, c.environment)
		}
	}
}

func TestInvalidValuesAreRejected(t *testing.T) {
	for _, entry := range []string{
		"GITSYNC_REPO=", "GITSYNC_REF=", "GITSYNC_PERIOD=1ms", "GITSYNC_USERNAME=", "GITSYNC_PASSWORD_FILE=",
		"GITSYNC_ROOT=", "GITSYNC_SUBMODULES=shallow", "GITSYNC_SYNC_TIMEOUT=1ms",
		"GITSYNC_REPO=https://user:secret@git.example.test/content.git",
	} {
		o, err := parseOptions(nil, with(pollerEnvironment, entry))
		if err != nil || o.validate() == nil {
			t.Errorf("%s: accepted, or rejected as unknown: %v", entry, err)
		}
	}
}

func TestTheFirstSyncMayHaveItsOwnFailureLimit(t *testing.T) {
	for _, c := range []struct {
		arguments, environment []string
		first, then            int
	}{
		{nil, nil, 0, 0},
		{[]string{"--max-failures=3"}, nil, 3, 3},
		{[]string{"--max-failures=3", "--init-max-failures=0"}, nil, 0, 3},
		{nil, []string{"GITSYNC_MAX_FAILURES=3"}, 3, 3},
		{nil, []string{"GITSYNC_MAX_FAILURES=3", "GITSYNC_INIT_MAX_FAILURES=0"}, 0, 3},
		{[]string{"--init-max-failures=2"}, []string{"GITSYNC_MAX_FAILURES=-1", "GITSYNC_INIT_MAX_FAILURES=-1"}, 2, -1},
	} {
		o, err := parseOptions(c.arguments, c.environment)
		if err != nil || o.failureLimit(true) != c.first || o.failureLimit(false) != c.then {
			t.Errorf("%q %q: %d, %d, %v", c.arguments, c.environment, o.failureLimit(true), o.failureLimit(false), err)
		}
	}
}
