// A client: client URL [CERTIFICATE KEY]. Go's net/http, with a client certificate if it is asked
// for.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
)

func show(what string, response *http.Response, err error) {
	if err != nil {
		fmt.Println(what, err)
		return
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	for _, hop := range []string{"Connection", "Keep-Alive", "Date", "Via", "Server"} {
		response.Header.Del(hop)
	}
	fields := []string{}
	for name, values := range response.Header {
		fields = append(fields, name+": "+strings.Join(values, " | "))
	}
	sort.Strings(fields)
	fmt.Println(what, response.StatusCode, response.ContentLength, fields, len(data),
		fmt.Sprintf("%x", sha256.Sum256(data))[:16], response.Trailer, err)
}

func main() {
	base := os.Args[1]
	if len(os.Args) > 3 {
		pair, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
		if err != nil {
			panic(err)
		}
		transport := http.DefaultTransport.(*http.Transport)
		transport.TLSClientConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	for _, path := range []string{"/hello", "/moved", "/empty", "/bytes/1000000", "/chunks/200", "/nothing"} {
		response, err := http.Get(base + path)
		show(path, response, err)
	}
	response, err := http.Head(base + "/hello")
	show("HEAD", response, err)
	response, err = http.Post(base+"/digest", "text/plain", strings.NewReader(strings.Repeat("x", 300000)))
	show("POST", response, err)
	pieces := io.MultiReader(bytes.NewReader(make([]byte, 100000)), strings.NewReader("end"))
	response, err = http.Post(base+"/digest", "text/plain", pieces)
	show("POST chunked", response, err)
	request, _ := http.NewRequest("PUT", base+"/digest", bytes.NewReader(make([]byte, 100000)))
	request.Header.Set("Expect", "100-continue")
	response, err = http.DefaultClient.Do(request)
	show("PUT expecting 100", response, err)
	response, err = http.Get(base + "/events/5")
	if err == nil {
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			fmt.Println(lines.Text())
		}
		fmt.Println(lines.Err())
	}
}
