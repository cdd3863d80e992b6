// The same Cacher on a real etcd, by the real store; and who writes there.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
)

const (
	root         = "/registry"
	putsATxn     = 100
	txnsAtOnce   = 8
	podsInEtcd   = 10_000
	etcdPatience = 30 * time.Second
)

// measureEtcd says "ready" once a watch is open, and measures from its first event to one of the last transaction. It does not
// count them: a watch that was ended goes on after a revision, and of that the rest of its transaction is not told again.
func measureEtcd(endpoint string, events, puts int) result {
	client, err := kubernetes.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: etcdPatience})
	must(err)
	defer client.Close()
	codecs := serializer.NewCodecFactory(newScheme())
	codec := codecs.CodecForVersions(protobuf.NewSerializer(newScheme(), newScheme()), codecs.UniversalDeserializer(), v1.SchemeGroupVersion, v1.SchemeGroupVersion)
	versioner := storage.APIObjectVersioner{}
	below, err := etcd3.New(client, nil, codec, func() kruntime.Object { return &v1.Pod{} }, func() kruntime.Object { return &v1.PodList{} },
		root, prefix, schema.GroupResource{Resource: "pods"}, identity.NewEncryptCheckTransformer(),
		etcd3.NewDefaultLeaseManagerConfig(), etcd3.NewDefaultDecoder(codec, versioner), versioner)
	must(err)
	made := newCacher(below)
	opts := options("all", 0)
	at, err := made.LastSyncResourceVersion()
	must(err)
	opts.ResourceVersion = strconv.FormatUint(at, 10)
	open := func() watch.Interface {
		opened, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		return opened
	}
	opened := open()
	ended := int64(0)
	fmt.Println("ready")
	var began time.Time
	last := at + uint64((events+puts-1)/puts)
	cpu := cpuSeconds()
	for newest := uint64(0); newest < last; {
		event, isOpen := <-opened.ResultChan()
		if !isOpen { // it fell back too far: as any client it goes on from what it had
			opened = open()
			ended++
			continue
		}
		if newest == 0 {
			began = time.Now()
		}
		opts.ResourceVersion = event.Object.(metav1.Object).GetResourceVersion()
		newest, err = strconv.ParseUint(opts.ResourceVersion, 10, 64)
		must(err)
	}
	return result{Select: "etcd", Watchers: 1, Events: events, Ended: ended, Seconds: time.Since(began).Seconds(), CPU: cpuSeconds() - cpu}
}

// writeEtcd waits for a line on its standard input, and puts pods as a server stores them: transactions of 100, or one by one.
func writeEtcd(endpoint, form string, events, puts int) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: etcdPatience})
	must(err)
	defer client.Close()
	scheme := newScheme()
	var codec kruntime.Serializer = protobuf.NewSerializer(scheme, scheme)
	if form == "json" {
		codec = jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme, jsonserializer.SerializerOptions{})
	}
	values := make([]string, podsInEtcd)
	for number := range values {
		var written bytes.Buffer
		one := pod(number, podsAtLeast)
		one.ResourceVersion = ""
		must(codec.Encode(one, &written))
		values[number] = written.String()
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	work := make(chan int)
	done := make(chan struct{})
	for range txnsAtOnce * (putsATxn / puts) {
		go func() {
			defer func() { done <- struct{}{} }()
			for start := range work {
				var asked []clientv3.Op
				for number := start; number < min(start+puts, events); number++ {
					at := number % podsInEtcd
					asked = append(asked, clientv3.OpPut(fmt.Sprintf("%s%sns-%d/pod-%d", root, prefix, at%podsAtLeast, at), values[at]))
				}
				_, err := client.Txn(context.Background()).Then(asked...).Commit()
				must(err)
			}
		}()
	}
	for start := 0; start < events; start += puts {
		work <- start
	}
	close(work)
	for range txnsAtOnce * (putsATxn / puts) {
		<-done
	}
}
