// Command server is a registry extension made of Drone's own handler and fixed logins.
//
//	server -listen 127.0.0.1:PORT -logins FILE [-quiet]
//
// The file is JSON: {slug: [{address, username, password}]}. The secret is the variable SECRET. Each request that the
// handler accepts is written to stdout, as a line of JSON {repo, build}, unless -quiet.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/drone/drone-go/drone"
	"github.com/drone/drone-go/plugin/registry"
)

type plugin struct {
	logins map[string][]*drone.Registry
	quiet  bool
	mutex  sync.Mutex // one line at a time
}

func (p *plugin) List(_ context.Context, asked *registry.Request) ([]*drone.Registry, error) {
	if !p.quiet {
		if err := p.record(asked); err != nil {
			return nil, err
		}
	}
	return p.logins[asked.Repo.Slug], nil
}

func (p *plugin) record(asked *registry.Request) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return json.NewEncoder(os.Stdout).Encode(asked)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	file := flag.String("logins", "", "file with the logins for each slug")
	quiet := flag.Bool("quiet", false, "don't write accepted requests to stdout")
	flag.Parse()

	logins, err := read(*file)
	if err != nil {
		log.Fatalf("-logins: %s", err)
	}
	handler := registry.Handler(os.Getenv("SECRET"), &plugin{logins: logins, quiet: *quiet}, nil)
	log.Fatal(http.ListenAndServe(*listen, handler))
}

func read(file string) (map[string][]*drone.Registry, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	logins := map[string][]*drone.Registry{}
	return logins, json.Unmarshal(text, &logins)
}
