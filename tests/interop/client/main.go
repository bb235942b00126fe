// Command client asks a registry extension as a Drone runner does, through Drone's own library.
//
// It reads one JSON object from stdin, {endpoint, secret, repo, build}, with Drone's own field names in repo and build,
// and prints {registries: [{address, username, password}], error, encoding}, where encoding is the answer's
// Content-Encoding; it exits 0 whatever the answer was.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/drone/drone-go/drone"
	"github.com/drone/drone-go/plugin/registry"
)

const timeout = time.Minute // a runner's own (runner-go registry/external.go)

type question struct {
	Endpoint string `json:"endpoint"`
	Secret   string `json:"secret"`
	registry.Request
}

type login struct {
	Address  string `json:"address"`
	Username string `json:"username"`
	Password string `json:"password"`
}

type answer struct {
	Registries []login `json:"registries"`
	Error      string  `json:"error"`
	Encoding   string  `json:"encoding"`
}

func main() {
	asked := question{}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatalf("stdin: %s", err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ask(asked)); err != nil {
		log.Fatalf("stdout: %s", err)
	}
}

func ask(asked question) answer {
	seen := &observer{next: http.DefaultTransport}
	http.DefaultTransport = seen // the library takes no transport of ours
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	registries, err := registry.Client(asked.Endpoint, asked.Secret, false).List(ctx, &asked.Request)
	if err != nil {
		return answer{Registries: []login{}, Error: err.Error(), Encoding: seen.encoding}
	}
	return answer{Registries: logins(registries), Encoding: seen.encoding}
}

// logins keeps the fields that runners use (drone-runner-docker engine/compiler/compiler.go).
func logins(registries []*drone.Registry) []login {
	kept := []login{}
	for _, each := range registries {
		kept = append(kept, login{Address: each.Address, Username: each.Username, Password: each.Password})
	}
	return kept
}

// observer notes what the library keeps to itself: whether it had to decrypt.
type observer struct {
	next     http.RoundTripper
	encoding string
}

func (o *observer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(request)
	if err == nil {
		o.encoding = response.Header.Get("Content-Encoding")
	}
	return response, err
}
