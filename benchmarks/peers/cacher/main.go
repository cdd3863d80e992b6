// The real Kubernetes Cacher, fed in process: what `python -m benchmarks --only fan-out` is put beside.
//
// One run a process, one line of JSON on standard output:
//
//	cacher -select all -watchers 1000 -burst 250 -events 20000
//
// A feeder hands over ready pods of 1 KB, all updates, `burst` at a time, and is never more than two bursts ahead of the
// slowest watcher (burst 0: as fast as they are taken). Each watcher is a goroutine that loops over its events and reads
// their resourceVersion. The history is full before the clock starts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	prefix      = "/pods/"
	nodeField   = "spec.nodeName"
	objectBytes = 1000
	history     = 102_400 // what the history holds at most
	podsAtLeast = 1000
)

type result struct {
	Select     string  `json:"select"`
	Watchers   int     `json:"watchers"`
	Burst      int     `json:"burst"`
	Events     int     `json:"events"`
	Procs      int     `json:"procs"`
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_s"`
	Deliveries int64   `json:"deliveries"`
	Ended      int64   `json:"ended"`
	P50        float64 `json:"p50_s"`
	P99        float64 `json:"p99_s"`
	HeapObject float64 `json:"heap_bytes_per_object,omitempty"`
	HeapEvent  float64 `json:"heap_bytes_per_event,omitempty"`
	HeapWatch  float64 `json:"heap_bytes_per_watch,omitempty"`
	Go         string  `json:"go"`
	Apiserver  string  `json:"apiserver"`
}

// source is the store below the cacher: a list of what there is, and one watch that the feeder writes.
type source struct {
	storage.Interface
	pods   []*v1.Pod
	at     uint64
	stream chan watch.Event
}

func (s *source) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

func (s *source) GetList(_ context.Context, _ string, _ storage.ListOptions, into kruntime.Object) error {
	list := into.(*v1.PodList)
	for _, pod := range s.pods {
		list.Items = append(list.Items, *pod)
	}
	list.ResourceVersion = strconv.FormatUint(s.at, 10)
	return nil
}

func (s *source) Watch(context.Context, string, storage.ListOptions) (watch.Interface, error) {
	return s, nil
}
func (s *source) ResultChan() <-chan watch.Event { return s.stream }

// IsWatchListSemanticsUnSupported says that a list is a list here, and not the beginning of a watch.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

func (s *source) Stop()                                               {}
func (s *source) ReadinessCheck() error                               { return nil }
func (s *source) RequestWatchProgress(context.Context) error          { return nil }
func (s *source) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }
func (s *source) CompactRevision() int64                              { return 0 }
func (s *source) GetCurrentResourceVersion(context.Context) (uint64, error) {
	return s.at, nil
}

func main() {
	selects := flag.String("select", "all", "all, node, namespace, label: what each watcher selects by")
	watchers := flag.Int("watchers", 100, "watchers")
	burst := flag.Int("burst", 250, "events that are handed over at once; 0: as fast as they are taken")
	events := flag.Int("events", 20_000, "events measured")
	slow := flag.Int("slow", 0, "one watcher in so many handles each event a hundred times slower than it arrives")
	memory := flag.Int("memory", 0, "measure memory with so many objects instead")
	flag.Parse()
	klog.SetOutput(nowhere{})
	klog.LogToStderr(false)
	if *memory > 0 {
		show(measureMemory(*memory, *watchers))
		return
	}
	show(measure(*selects, *watchers, *burst, *events, *slow))
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func show(found result) {
	found.Go, found.Procs, found.Apiserver = runtime.Version(), runtime.GOMAXPROCS(0), "v0.36.2"
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pod(number, groups int) *v1.Pod {
	group := number % groups
	made := &v1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("pod-%d", number), Namespace: fmt.Sprintf("ns-%d", group), ResourceVersion: strconv.Itoa(number + 1),
			Labels: map[string]string{"app": fmt.Sprintf("app-%d", group), "tier": "backend", "track": "stable"},
		},
		Spec:   v1.PodSpec{NodeName: fmt.Sprintf("node-%d", group), Containers: []v1.Container{{Name: "main", Image: "registry.example/app:1"}}},
		Status: v1.PodStatus{Phase: v1.PodRunning, PodIP: "10.0.0.1"},
	}
	made.UID = "00000000-0000-4000-8000-000000000000"
	written, _ := json.Marshal(made)
	for missing := objectBytes - len(written); missing > 0; missing-- {
		made.Status.Message += "x"
	}
	return made
}

func newCacher(below *source) *cacher.Cacher {
	scheme := kruntime.NewScheme()
	must(v1.AddToScheme(scheme))
	codecs := serializer.NewCodecFactory(scheme)
	attributes := func(obj kruntime.Object) (labels.Set, fields.Set, error) {
		found := obj.(*v1.Pod)
		return found.Labels, fields.Set{
			"metadata.name": found.Name, "metadata.namespace": found.Namespace, nodeField: found.Spec.NodeName,
			"spec.restartPolicy": string(found.Spec.RestartPolicy), "spec.schedulerName": found.Spec.SchedulerName,
			"spec.serviceAccountName": found.Spec.ServiceAccountName, "status.phase": string(found.Status.Phase),
			"status.podIP": found.Status.PodIP, "status.nominatedNodeName": found.Status.NominatedNodeName,
		}, nil
	}
	node := func(obj kruntime.Object) string { return obj.(*v1.Pod).Spec.NodeName }
	made, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: below, Versioner: storage.APIObjectVersioner{}, GroupResource: schema.GroupResource{Resource: "pods"},
		EventsHistoryWindow: cacher.DefaultEventFreshDuration, ResourcePrefix: prefix,
		KeyFunc:      func(obj kruntime.Object) (string, error) { return storage.NamespaceKeyFunc(prefix, obj) },
		GetAttrsFunc: attributes, NewFunc: func() kruntime.Object { return &v1.Pod{} },
		NewListFunc:  func() kruntime.Object { return &v1.PodList{} },
		Codec:        codecs.LegacyCodec(v1.SchemeGroupVersion),
		IndexerFuncs: map[string]storage.IndexerFunc{nodeField: node},
		Indexers: &cache.Indexers{storage.FieldIndex(nodeField): func(obj any) ([]string, error) {
			return []string{obj.(*v1.Pod).Spec.NodeName}, nil
		}},
	})
	must(err)
	for !made.Ready() {
		time.Sleep(time.Millisecond)
	}
	return made
}

type feeder struct {
	below  *source
	next   uint64
	cacher *cacher.Cacher
}

// feed hands over an update of a pod at the next revision.
func (f *feeder) feed(number int) {
	changed := *f.below.pods[number]
	f.next++
	changed.ResourceVersion = strconv.FormatUint(f.next, 10)
	f.below.stream <- watch.Event{Type: watch.Modified, Object: &changed}
}

func (f *feeder) waitUntilTaken() {
	for {
		at, err := f.cacher.LastSyncResourceVersion()
		must(err)
		if at >= f.next {
			return
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func options(selects string, number int) storage.ListOptions {
	predicate := storage.SelectionPredicate{
		Label: labels.Everything(), Field: fields.Everything(), IndexFields: []string{nodeField},
		GetAttrs: nil,
	}
	switch selects {
	case "node":
		predicate.Field = fields.OneTermEqualSelector(nodeField, fmt.Sprintf("node-%d", number))
	case "namespace":
		predicate.Field = fields.OneTermEqualSelector("metadata.namespace", fmt.Sprintf("ns-%d", number))
	case "label":
		predicate.Label = labels.SelectorFromSet(labels.Set{"app": fmt.Sprintf("app-%d", number)})
	}
	return storage.ListOptions{Predicate: predicate, Recursive: true}
}

type counter struct {
	taken atomic.Int64
	ended atomic.Bool
	_     [48]byte // a cache line of its own
}

func measure(selects string, watchers, burst, events, slow int) result {
	groups := 1
	if selects != "all" {
		groups = max(watchers, 1)
	}
	below := &source{stream: make(chan watch.Event)}
	for number := range max(podsAtLeast, groups) {
		below.pods = append(below.pods, pod(number, groups))
	}
	below.at = uint64(len(below.pods))
	made := newCacher(below)
	feeding := &feeder{below: below, next: below.at, cacher: made}
	for number := range history {
		feeding.feed(number % len(below.pods))
	}
	feeding.waitUntilTaken()

	counters := make([]counter, watchers)
	stamps := make([]atomic.Int64, events) // when each event was handed over, ns
	first := feeding.next
	var sampled []float64
	sampling := make(chan float64, 1<<16)
	for number := range watchers {
		opts := options(selects, number)
		opts.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		opened, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		isSlow := slow > 0 && number%slow == 0
		go consume(opened, &counters[number], number == watchers-1, isSlow, first, stamps, sampling)
	}
	wanted := make([]int64, watchers) // of each watcher, so far
	began, cpu := time.Now(), cpuSeconds()
	for fed := 0; fed < events; {
		size := burst
		if size == 0 {
			size = 1000
		}
		for range min(size, events-fed) {
			number := (fed * 7919) % len(below.pods)
			stamps[fed].Store(time.Now().UnixNano())
			feeding.feed(number)
			if selects == "all" {
				fed++
				continue
			}
			wanted[number%groups]++
			fed++
		}
		if burst > 0 && slow == 0 {
			waitFor(counters, wanted, selects == "all", int64(fed), int64(2*burst))
		}
	}
	feeding.waitUntilTaken()
	if slow == 0 {
		waitFor(counters, wanted, selects == "all", int64(events), 0)
	}
	found := result{Select: selects, Watchers: watchers, Burst: burst, Events: events}
	found.Seconds, found.CPU = time.Since(began).Seconds(), cpuSeconds()-cpu
	for number := range counters {
		found.Deliveries += counters[number].taken.Load()
		if counters[number].ended.Load() {
			found.Ended++
		}
	}
	for {
		select {
		case one := <-sampling:
			sampled = append(sampled, one)
			continue
		default:
		}
		break
	}
	sort.Float64s(sampled)
	if len(sampled) > 0 {
		found.P50, found.P99 = sampled[len(sampled)/2], sampled[len(sampled)*99/100]
	}
	return found
}

func consume(opened watch.Interface, mine *counter, isSampled, isSlow bool, first uint64, stamps []atomic.Int64, into chan<- float64) {
	length := 0
	for event := range opened.ResultChan() {
		found, isObject := event.Object.(metav1.Object)
		if !isObject {
			break
		}
		version := found.GetResourceVersion()
		length += len(version)
		if isSampled {
			if at, err := strconv.ParseUint(version, 10, 64); err == nil && at > first {
				select {
				case into <- float64(time.Now().UnixNano()-stamps[at-first-1].Load()) / 1e9:
				default:
				}
			}
		}
		mine.taken.Add(1)
		if isSlow {
			time.Sleep(10 * time.Millisecond)
		}
	}
	mine.ended.Store(true)
}

// waitFor returns once no watcher that lives is more than `behind` events back.
func waitFor(counters []counter, wanted []int64, isAll bool, all, behind int64) {
	for number := range counters {
		goal := all
		if !isAll {
			goal = wanted[number]
		}
		for counters[number].taken.Load() < goal-behind && !counters[number].ended.Load() {
			runtime.Gosched()
		}
	}
}

func measureMemory(objects, watchers int) result {
	before := heap()
	below := &source{stream: make(chan watch.Event)}
	for number := range objects {
		below.pods = append(below.pods, pod(number, 1000))
	}
	below.at = uint64(objects)
	made := newCacher(below)
	below.pods = nil // what the cacher holds is all that is left
	withObjects := heap()
	feeding := &feeder{below: below, next: below.at, cacher: made}
	for number := range history {
		copied := pod(number%objects, 1000) // as decoded from a store: nothing is shared
		feeding.next++
		copied.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		below.stream <- watch.Event{Type: watch.Modified, Object: copied}
	}
	feeding.waitUntilTaken()
	withHistory := heap()
	opened := make([]watch.Interface, 0, watchers)
	for range watchers {
		opts := options("all", 0)
		opts.ResourceVersion = strconv.FormatUint(feeding.next, 10)
		one, err := made.Watch(context.Background(), prefix, opts)
		must(err)
		opened = append(opened, one)
	}
	time.Sleep(100 * time.Millisecond)
	withWatches := heap()
	runtime.KeepAlive(opened)
	runtime.KeepAlive(made)
	return result{
		Select: "memory", Watchers: watchers, Events: history,
		HeapObject: (withObjects - before) / float64(objects), HeapEvent: (withHistory - withObjects) / history,
		HeapWatch: (withWatches - withHistory) / float64(max(watchers, 1)),
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Sec+usage.Stime.Sec) + float64(usage.Utime.Usec+usage.Stime.Usec)/1e6
}

func must(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
