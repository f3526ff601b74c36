package main

import (
	"encoding/json"
	"testing"
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestTheHashCoversTheDataAlone(t *testing.T) {
	for _, c := range []struct{ object, want string }{
		{`{}`, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},                                           // sha1 of nothing
		{`{"data":{"b":"2","a":"1"}}`, "f83e99e324ba68ccc373a58ef1eb42f8ab88646a"},                   // sha1 of a=1;b=2
		{`{"data":{"a":"1"},"binaryData":{"b":"Mg=="}}`, "2b30579ea718b6aaea3ae3dbc69eed37c1330486"}, // sha1 of a=1;b=Mg==
		{`{"metadata":{"name":"x","annotations":{"y":"z"}}}`, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
	} {
		if got := decode[configMap](t, c.object).hash(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.object, got, c.want)
		}
	}
}

func TestStampName(t *testing.T) {
	for name, want := range map[string]string{
		"git-commit":  "STAKATER_GIT_COMMIT_CONFIGMAP",
		"a.b--c-1":    "STAKATER_A_B_C_1_CONFIGMAP",
		"plain":       "STAKATER_PLAIN_CONFIGMAP",
		"v2.settings": "STAKATER_V2_SETTINGS_CONFIGMAP",
	} {
		if got := (configMap{Metadata: metadata{Name: name}}).stampName(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestTheAnnotationIsAListOfPatternsForTheWholeName(t *testing.T) {
	for _, c := range []struct {
		list string
		want bool
	}{
		{"git-commit", true}, {"other, git-commit", true}, {"git-.*", true},
		{"git", false}, {"commit", false}, {"", false}, {"other", false},
	} {
		deployment := workload{Metadata: metadata{Annotations: map[string]string{annotation: c.list}}}
		if got, err := deployment.wants("git-commit"); got != c.want || err != nil {
			t.Errorf("%q: got %v, %v", c.list, got, err)
		}
	}
	invalid := workload{Metadata: metadata{Annotations: map[string]string{annotation: "("}}}
	if _, err := invalid.wants("git-commit"); err == nil {
		t.Error("an invalid pattern was accepted")
	}
}

func TestTheStampedContainer(t *testing.T) {
	const volumes = `"volumes":[{"name":"v","configMap":{"name":"cm"}}]`
	const projected = `"volumes":[{"name":"v","projected":{"sources":[{"secret":{}},{"configMap":{"name":"cm"}}]}}]`
	const key = `"env":[{"name":"K","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}}]`
	const mount = `"volumeMounts":[{"name":"v"}]`
	const from = `"envFrom":[{"configMapRef":{"name":"cm"}}]`
	for _, c := range []struct{ spec, want string }{
		{`{"containers":[{"name":"a"},{"name":"b"}]}`, "a"},
		{`{"containers":[{"name":"a"},{"name":"b",` + key + `}]}`, "b"},
		{`{"containers":[{"name":"a"},{"name":"b",` + from + `}]}`, "b"},
		{`{"containers":[{"name":"a",` + key + `},{"name":"b",` + mount + `}],` + volumes + `}`, "b"},
		{`{"containers":[{"name":"a"},{"name":"b",` + mount + `}],` + projected + `}`, "b"},
		// an init container or a native sidecar is never stamped itself
		{`{"initContainers":[{"name":"i",` + key + `}],"containers":[{"name":"a"},{"name":"b"}]}`, "a"},
		{`{"initContainers":[{"name":"i",` + from + `}],"containers":[{"name":"a"},{"name":"b"}]}`, "a"},
		{`{"initContainers":[{"name":"i","restartPolicy":"Always",` + key + `}],"containers":[{"name":"a"}]}`, "a"},
		{`{"initContainers":[{"name":"i",` + mount + `}],"containers":[{"name":"a"},{"name":"b"}],` + volumes + `}`, "a"},
		// another container that reads the ConfigMap in the same way takes precedence
		{`{"initContainers":[{"name":"i",` + key + `}],"containers":[{"name":"a"},{"name":"b",` + key + `}]}`, "b"},
		// but an init container's mount precedes another container's environment
		{`{"initContainers":[{"name":"i",` + mount + `}],"containers":[{"name":"a"},{"name":"b",` + key + `}],` +
			volumes + `}`, "a"},
		{`{"initContainers":[{"name":"i"}],"containers":[{"name":"a"},{"name":"b",` + key + `}],` + volumes + `}`, "b"},
	} {
		if got := decode[podSpec](t, c.spec).user("cm").Name; got != c.want {
			t.Errorf("%s: got %s, want %s", c.spec, got, c.want)
		}
	}
	if got := decode[podSpec](t, `{"initContainers":[{"name":"i",`+key+`}]}`).user("cm"); got != nil {
		t.Errorf("a pod without containers: got %s", got.Name)
	}
}

func TestOptions(t *testing.T) {
	manifest := []string{"--reload-on-create=true", "--sync-after-restart=true", "--resources-to-ignore=secrets",
		"--ignored-workload-types=jobs,cronjobs"}
	got, err := parseOptions(manifest, "here")
	if err != nil || got != (options{namespace: "here", onCreate: true}) {
		t.Errorf("the manifest's flags: %+v, %v", got, err)
	}
	for _, arguments := range [][]string{
		nil, manifest[:3], append(manifest, "--enable-ha=true"), append(manifest, "more"),
		append(manifest, "--ignored-workload-types=jobs"),
	} {
		if _, err := parseOptions(arguments, "here"); err == nil {
			t.Errorf("accepted: %q", arguments)
		}
	}
	if _, err := parseOptions(manifest, ""); err == nil {
		t.Error("accepted without a namespace")
	}
}
