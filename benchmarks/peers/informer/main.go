// A client-go SharedInformer, to be pointed at any API server: it says, one JSON line each, what its handlers are told, and
// on its standard input it is asked what its store holds.
//
//	informer -kubeconfig FILE -resource configmaps|pods|GROUP/VERSION/PLURAL [-namespace NS] [-labels SELECTOR]
//
//	{"what":"synced","resourceVersion":"12","objects":3}
//	{"what":"add","key":"default/a","resourceVersion":"7","initial":true}
//	{"what":"update","key":"default/a","resourceVersion":"9"}
//	{"what":"delete","key":"default/a","resourceVersion":"9","tombstone":false}
//	"store" on standard input ─► {"what":"store","resourceVersion":"12","store":{"default/a":"9"}}
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientfeatures "k8s.io/client-go/features"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type said struct {
	What            string            `json:"what"`
	Key             string            `json:"key,omitempty"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Initial         bool              `json:"initial,omitempty"`
	Tombstone       bool              `json:"tombstone,omitempty"`
	Objects         int               `json:"objects,omitempty"`
	Store           map[string]string `json:"store,omitempty"`
	WatchList       bool              `json:"watchList,omitempty"`
}

var printing sync.Mutex

func say(what said) {
	printing.Lock()
	defer printing.Unlock()
	line, err := json.Marshal(what)
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func version(object interface{}) (string, string, bool) {
	tombstone, gone := object.(cache.DeletedFinalStateUnknown)
	if gone {
		object = tombstone.Obj
	}
	key, err := cache.MetaNamespaceKeyFunc(object)
	check(err)
	accessor, err := meta.Accessor(object)
	check(err)
	return key, accessor.GetResourceVersion(), gone
}

// newInformer is typed for what client-go has types of, so that its decoders are tried too, and dynamic for all else.
func newInformer(config *rest.Config, resource, namespace, labels string) cache.SharedIndexInformer {
	selected := func(options *metav1.ListOptions) { options.LabelSelector = labels }
	typed, err := kubernetes.NewForConfig(config)
	check(err)
	factory := informers.NewSharedInformerFactoryWithOptions(
		typed, 0, informers.WithNamespace(namespace), informers.WithTweakListOptions(selected))
	switch resource {
	case "configmaps":
		return factory.Core().V1().ConfigMaps().Informer()
	case "pods":
		return factory.Core().V1().Pods().Informer()
	}
	parts := strings.Split(resource, "/")
	if len(parts) != 3 {
		check(fmt.Errorf("%q is not configmaps, pods, or GROUP/VERSION/PLURAL", resource))
	}
	untyped, err := dynamic.NewForConfig(config)
	check(err)
	which := schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
	return dynamicinformer.NewFilteredDynamicInformer(untyped, which, namespace, 0, cache.Indexers{}, selected).Informer()
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "where the server is, and who asks")
	resource := flag.String("resource", "configmaps", "configmaps, pods, or GROUP/VERSION/PLURAL of any")
	namespace := flag.String("namespace", "", "which namespace; all by default")
	labels := flag.String("labels", "", "which objects")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	check(err)
	informer := newInformer(config, *resource, *namespace, *labels)
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object interface{}, initial bool) {
			key, at, _ := version(object)
			say(said{What: "add", Key: key, ResourceVersion: at, Initial: initial})
		},
		UpdateFunc: func(_, object interface{}) {
			key, at, _ := version(object)
			say(said{What: "update", Key: key, ResourceVersion: at})
		},
		DeleteFunc: func(object interface{}) {
			key, at, gone := version(object)
			say(said{What: "delete", Key: key, ResourceVersion: at, Tombstone: gone})
		},
	})
	check(err)

	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	go informer.RunWithContext(running)
	waiting, stop := context.WithTimeout(running, time.Minute)
	defer stop()
	if !cache.WaitForCacheSync(waiting.Done(), informer.HasSynced) {
		check(fmt.Errorf("the informer did not sync within a minute"))
	}
	streams := clientfeatures.FeatureGates().Enabled(clientfeatures.WatchListClient)
	say(said{What: "synced", ResourceVersion: informer.LastSyncResourceVersion(), Objects: len(informer.GetStore().ListKeys()), WatchList: streams})

	asked := bufio.NewScanner(os.Stdin)
	for asked.Scan() {
		store := map[string]string{}
		for _, object := range informer.GetStore().List() {
			key, at, _ := version(object)
			store[key] = at
		}
		say(said{What: "store", ResourceVersion: informer.LastSyncResourceVersion(), Store: store})
	}
}
