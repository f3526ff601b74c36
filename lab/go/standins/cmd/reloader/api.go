package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	accountFolder  = "/var/run/secrets/kubernetes.io/serviceaccount"
	requestTimeout = 30 * time.Second
	watchTimeout   = 5 * time.Minute
)

// api is the Kubernetes API as a pod's service account sees it, in one namespace.
type api struct {
	base      string
	namespace string
	client    http.Client
}

func inCluster(namespace string) (*api, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is missing: run this in a pod")
	}
	authority, err := os.ReadFile(accountFolder + "/ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s/ca.crt contains no certificate", accountFolder)
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		// Without pings, a watch would not notice that the server is gone.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	return &api{
		base:      "https://" + net.JoinHostPort(host, port),
		namespace: namespace,
		client:    http.Client{Transport: transport},
	}, nil
}

func (a *api) core(resource string) string {
	return "/api/v1/namespaces/" + a.namespace + "/" + resource
}

func (a *api) apps(resource string) string {
	return "/apis/apps/v1/namespaces/" + a.namespace + "/" + resource
}

// do makes one request and decodes the response into result, unless result is nil.
func (a *api) do(ctx context.Context, method, path, contentType string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := a.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if result == nil {
		_, err = io.Copy(io.Discard, answer) // lets the client reuse the connection
		return err
	}
	return json.NewDecoder(answer).Decode(result)
}

// follow calls see for every event after a version. It returns nil when the server ends the watch normally.
func (a *api) follow(ctx context.Context, resource, version string, see func(kind string, seen configMap)) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout+requestTimeout)
	defer cancel()
	query := url.Values{
		"watch":               {"true"},
		"allowWatchBookmarks": {"true"}, // these keep the version recent in an idle namespace
		"resourceVersion":     {version},
		"timeoutSeconds":      {fmt.Sprint(int(watchTimeout.Seconds()))},
	}
	answer, err := a.send(ctx, http.MethodGet, a.core(resource)+"?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	for events := json.NewDecoder(answer); ; {
		var event struct {
			Type   string
			Object json.RawMessage
		}
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if event.Type == "ERROR" { // usually 410: the version is too old
			return fmt.Errorf("the API server sent an error: %.300s", event.Object)
		}
		var seen configMap
		if err := json.Unmarshal(event.Object, &seen); err != nil {
			return err
		}
		see(event.Type, seen)
	}
}

func (a *api) send(ctx context.Context, method, path, contentType string, body any) (io.ReadCloser, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, &text)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(accountFolder + "/token") // at each request, because the kubelet renews it
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		defer response.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, said)
	}
	return response.Body, nil
}
