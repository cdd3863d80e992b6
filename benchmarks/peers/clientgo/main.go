// client-go's SharedIndexInformer and work queue, by themselves: what `python -m benchmarks --only peers` puts ours beside.
//
//	clientgo -what informer -objects 100000 -handlers 10
//	clientgo -what queue -objects 1000000
//
// One run a process, one line of JSON on standard output. The informer's source has everything at hand, decoded: a list of
// all objects, then an update of each, one event at a time. Handlers count. The queue is filled and emptied a key at a time.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

type result struct {
	What      string  `json:"what"`
	Objects   int     `json:"objects"`
	Handlers  int     `json:"handlers"`
	Procs     int     `json:"procs"`
	Sync      float64 `json:"sync_s,omitempty"`
	SyncCPU   float64 `json:"sync_cpu_s,omitempty"`
	Update    float64 `json:"update_s,omitempty"`
	UpdateCPU float64 `json:"update_cpu_s,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
	CPU       float64 `json:"cpu_s,omitempty"`
	Go        string  `json:"go"`
	ClientGo  string  `json:"client_go"`
}

// source has one list and one stream of updates, which begins when `begin` is closed.
type source struct {
	pods    []v1.Pod
	updates []watch.Event
	begin   chan struct{}
	stream  chan watch.Event
}

func (s *source) List(metav1.ListOptions) (kruntime.Object, error) {
	return &v1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(len(s.pods))}, Items: s.pods}, nil
}

func (s *source) Watch(metav1.ListOptions) (watch.Interface, error) {
	go func() {
		<-s.begin
		for _, event := range s.updates {
			s.stream <- event
		}
	}()
	return s, nil
}

func (s *source) ResultChan() <-chan watch.Event { return s.stream }
func (s *source) Stop()                          {}

// IsWatchListSemanticsUnSupported says that a list is a list here, and not the beginning of a watch.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

// counter has a cache line of its own.
type counter struct {
	adds, updates atomic.Int64
	_             [48]byte
}

func (c *counter) OnAdd(any, bool)   { c.adds.Add(1) }
func (c *counter) OnUpdate(_, _ any) { c.updates.Add(1) }
func (c *counter) OnDelete(any)      {}

func pod(number, revision int) v1.Pod {
	return v1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", number), Namespace: fmt.Sprintf("namespace-%d", number%1000),
			UID: "00000000-0000-4000-8000-000000000000", ResourceVersion: strconv.Itoa(revision),
			Labels: map[string]string{"app": fmt.Sprintf("app-%d", number%10)},
		},
		Spec:   v1.PodSpec{NodeName: fmt.Sprintf("node-%d", number%1000)},
		Status: v1.PodStatus{Message: strings.Repeat("x", 700)},
	}
}

func measureInformer(objects, handlers int) result {
	from := &source{begin: make(chan struct{}), stream: make(chan watch.Event)}
	for number := range objects {
		from.pods = append(from.pods, pod(number, number+1))
	}
	for number := range objects {
		updated := pod(number, objects+number+1)
		from.updates = append(from.updates, watch.Event{Type: watch.Modified, Object: &updated})
	}
	informer := cache.NewSharedIndexInformer(from, &v1.Pod{}, 0, cache.Indexers{})
	counters := make([]counter, handlers)
	for number := range counters {
		_, err := informer.AddEventHandler(&counters[number])
		must(err)
	}
	runtime.GC()
	running, stop := context.WithCancel(context.Background())
	defer stop()
	found := result{What: "informer", Objects: objects, Handlers: handlers}
	began, cpu := time.Now(), cpuSeconds()
	go informer.RunWithContext(running)
	waitFor(counters, func(c *counter) int64 { return c.adds.Load() }, int64(objects))
	found.Sync, found.SyncCPU = time.Since(began).Seconds(), cpuSeconds()-cpu
	began, cpu = time.Now(), cpuSeconds()
	close(from.begin)
	waitFor(counters, func(c *counter) int64 { return c.updates.Load() }, int64(objects))
	found.Update, found.UpdateCPU = time.Since(began).Seconds(), cpuSeconds()-cpu
	return found
}

func waitFor(counters []counter, has func(*counter) int64, wanted int64) {
	for number := range counters {
		for has(&counters[number]) < wanted {
			time.Sleep(50 * time.Microsecond)
		}
	}
}

func measureQueue(operations int) result {
	keys := make([]string, operations)
	for number := range keys {
		keys[number] = fmt.Sprintf("namespace-%d/pod-%d", number%1000, number)
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	runtime.GC()
	began, cpu := time.Now(), cpuSeconds()
	for _, key := range keys {
		queue.Add(key)
		taken, _ := queue.Get()
		queue.Done(taken)
	}
	return result{What: "queue", Objects: operations, Seconds: time.Since(began).Seconds(), CPU: cpuSeconds() - cpu}
}

// measureDeep has all keys wait at once, as after a first list.
func measureDeep(operations int) result {
	keys := make([]string, operations)
	for number := range keys {
		keys[number] = fmt.Sprintf("namespace-%d/pod-%d", number%1000, number)
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	runtime.GC()
	began, cpu := time.Now(), cpuSeconds()
	for _, key := range keys {
		queue.Add(key)
	}
	for range keys {
		taken, _ := queue.Get()
		queue.Done(taken)
	}
	return result{What: "deep", Objects: operations, Seconds: time.Since(began).Seconds(), CPU: cpuSeconds() - cpu}
}

// measureIndex looks up each of a thousand namespaces in an index, over and over, and reads the name of what is there.
func measureIndex(objects int) result {
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for number := range objects {
		one := pod(number, number+1)
		must(store.Add(&one))
	}
	runtime.GC()
	lookups, length := 0, 0
	began, cpu := time.Now(), cpuSeconds()
	for range 20 {
		for number := range 1000 {
			found, err := store.ByIndex(cache.NamespaceIndex, fmt.Sprintf("namespace-%d", number))
			must(err)
			for _, one := range found {
				length += len(one.(*v1.Pod).Name)
			}
			lookups++
		}
	}
	return result{What: "index", Objects: lookups, Seconds: time.Since(began).Seconds(), CPU: cpuSeconds() - cpu}
}

func main() {
	what := flag.String("what", "informer", "informer, index, queue (a key at a time), deep (all keys, then all taken)")
	objects := flag.Int("objects", 100_000, "objects, or keys")
	handlers := flag.Int("handlers", 1, "handlers of the informer")
	flag.Parse()
	var found result
	switch *what {
	case "informer":
		found = measureInformer(*objects, *handlers)
	case "queue":
		found = measureQueue(*objects)
	case "index":
		found = measureIndex(*objects)
	case "deep":
		found = measureDeep(*objects)
	default:
		must(fmt.Errorf("-what is informer, index, queue or deep, not %q", *what))
	}
	found.Go, found.Procs, found.ClientGo = runtime.Version(), runtime.GOMAXPROCS(0), "v0.36.2"
	must(json.NewEncoder(os.Stdout).Encode(found))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
