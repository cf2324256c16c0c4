// What Go's standard library offers a program that wants to be a reverse proxy for event streams:
// httputil.ReverseProxy, which sends at once what it reads, and a drain when SIGTERM comes.
//
//	main FRONT ORIGIN WINDOW POOL     two ports of 127.0.0.1, seconds, and connections
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// buffers are used again, as those of larger programs are.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32*1024)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

func main() {
	front, origin := "127.0.0.1:"+os.Args[1], "127.0.0.1:"+os.Args[2]
	window, err := time.ParseDuration(os.Args[3] + "s")
	if err != nil {
		log.Fatal(err)
	}
	pool, err := strconv.Atoi(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = pool
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: origin})
	proxy.Transport = transport
	proxy.FlushInterval = -1
	proxy.BufferPool = &buffers{}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	server := &http.Server{Addr: front, Handler: proxy, ErrorLog: proxy.ErrorLog}

	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-term
	patience, cancel := context.WithTimeout(context.Background(), window)
	defer cancel()
	go func() {
		<-term
		os.Exit(1)
	}()
	if server.Shutdown(patience) != nil {
		server.Close()
	}
}
