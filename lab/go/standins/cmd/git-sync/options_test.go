package main

import (
	"reflect"
	"testing"
	"time"
)

var (
	pollerArguments = []string{"--root=/git", "--link=current", "--max-failures=-1", "--init-max-failures=-1",
		"--submodules=off", "--exechook-command=/hook", "--exechook-backoff=1s", "--http-bind=:8080"}
	pollerEnvironment = []string{"PATH=/bin", "GITSYNC_ROOT=/git", "GITSYNC_REPO=https://git.example.test/content.git",
		"GITSYNC_REF=main", "GITSYNC_PERIOD=10s", "GITSYNC_USERNAME=reader", "GITSYNC_PASSWORD_FILE=/password",
		"GITSYNC_GIT_CONFIG=http.sslCAInfo:/ca.crt", "GITSYNC_SUBMODULES=recursive"}
)

func with(list []string, more ...string) []string {
	return append(append([]string{}, list...), more...)
}

func TestWhatTheManifestsUseIsTaken(t *testing.T) {
	got, err := parseOptions(pollerArguments, pollerEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	want := options{root: "/git", link: "current", maxFailures: -1, initMaxFailures: -1, initLimitIsSet: true,
		exechookCommand: "/hook", exechookBackoff: time.Second, httpBind: ":8080", submodules: "off",
		repo: "https://git.example.test/content.git", ref: "main", period: 10 * time.Second, username: "reader",
		passwordFile: "/password", gitConfig: []setting{{"http.sslCAInfo", "/ca.crt"}},
		sshKeyFile: "/etc/git-secret/ssh", sshKnownHostFile: "/etc/git-secret/known_hosts"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := got.validate(); err != nil {
		t.Error(err)
	}
}

func TestAnythingElseIsRefused(t *testing.T) {
	for _, c := range []struct{ arguments, environment []string }{
		{with(pollerArguments, "--webhook-url=http://x"), pollerEnvironment},
		{with(pollerArguments, "-v"), pollerEnvironment},
		{with(pollerArguments, "more"), pollerEnvironment},
		{with(pollerArguments, "--max-failures=x"), pollerEnvironment},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_BRANCH=main")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_PASSWORD=secret")},
		{pollerArguments, with(pollerEnvironment, "GIT_SYNC_WAIT=10")},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_PERIOD=10")},
		{pollerArguments, with(pollerEnvironment, `GITSYNC_GIT_CONFIG="a.b":"c"`)},
		{pollerArguments, with(pollerEnvironment, "GITSYNC_GIT_CONFIG=a.b")},
	} {
		if _, err := parseOptions(c.arguments, c.environment); err == nil {
			t.Errorf("taken: %q %q", c.arguments, c.environment)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for _, entry := range []string{
		"GITSYNC_REPO=", "GITSYNC_REF=", "GITSYNC_PERIOD=1ms", "GITSYNC_USERNAME=", "GITSYNC_PASSWORD_FILE=",
		"GITSYNC_ROOT=", "GITSYNC_REPO=https://user:secret@git.example.test/content.git",
	} {
		o, err := parseOptions([]string{"--link=current"}, with(pollerEnvironment, entry))
		if err != nil || o.validate() == nil {
			t.Errorf("%s: taken, or refused as unknown: %v", entry, err)
		}
	}
}

func TestTheFirstSyncMayHaveItsOwnFailureLimit(t *testing.T) {
	for _, c := range []struct {
		arguments   []string
		first, then int
	}{
		{nil, 0, 0},
		{[]string{"--max-failures=3"}, 3, 3},
		{[]string{"--max-failures=3", "--init-max-failures=0"}, 0, 3},
	} {
		o, err := parseOptions(c.arguments, nil)
		if err != nil || o.failureLimit(true) != c.first || o.failureLimit(false) != c.then {
			t.Errorf("%q: %d, %d, %v", c.arguments, o.failureLimit(true), o.failureLimit(false), err)
		}
	}
}
