// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// The reader of one pass. It holds the loop's memory while a snapshot is built (the lock is closed), answers from it,
/// and notes every read: that list becomes the key's subscriptions.
///
/// Caveat for behaviours: a quorum read holds for one resourceVersion of the object at hand, so an own status write
/// makes it unknown again. A status that says something else when an answer is unknown would be written for ever (the
/// loop slows such a key down, and says so). On `unknown`, leave the status as it is.
struct PassReader: Reader {
    let settings: Settings
    private(set) var memory: Memory
    private(set) var topics: [Topic] = []
    /// Kinds that were read and are not watched here: a mistake in the wiring.
    private(set) var unwatched: [ResourceKind] = []
    /// Something was read that is still being asked for.
    private(set) var isWaiting = false
    /// The first of what was read and can't be.
    private var refusal: ReadFailure?
    private let now: Uptime
    private let asker: Key
    private let askerVersion: String
    private var noted: Set<Topic> = []

    /// Takes the memory out of its place until `giveBack`.
    /// - Parameter now: What is put off is put off from here.
    init(
        borrowing owner: inout Memory, for asker: Key, at askerVersion: String, now: Uptime, settings: Settings
    ) {
        self.memory = Memory()
        swap(&memory, &owner)
        self.asker = asker
        self.askerVersion = askerVersion
        self.now = now
        self.settings = settings
    }

    mutating func object<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        let key = Key(kind: memory.kinds.number(of: type), namespace: namespace, name: name)
        note(.object(key))
        guard let shelf = watched(R.self, key.kind, namespace), shelf.isSynced else { return .unknown }
        return Self.shown(shelf.held[ObjectName(key)])
    }

    mutating func watched<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        let key = Key(kind: memory.kinds.number(of: type), namespace: namespace, name: name)
        note(.watched(key))
        guard memory.look(at: key) else {
            wait(for: .sight(key))
            return .unknown
        }
        return Self.shown(memory.sights[key]?.shelf.held[ObjectName(key)])
    }

    mutating func objects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> {
        let kind = memory.kinds.number(of: type)
        let pair = LabelPair(label, value)
        note(.labelled(LabelQuery(kind: kind, namespace: namespace, pair: pair)))
        guard let shelf = watched(R.self, kind, namespace), shelf.isSynced,
            let objects = memory.shelves[kind]?.objects(namespace, pair)
        else { return .unknown }
        return .present(objects.compactMap { $0 as? R })
    }

    mutating func confirmed<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        let key = Key(kind: memory.kinds.number(of: type), namespace: namespace, name: name)
        note(.confirmed(key))
        switch memory.confirmed(key, by: asker, at: askerVersion) {
        case nil:
            wait(for: .confirmed(asker: asker, target: key))
            return .unknown
        case .absent?: return .absent(confirmed: true)
        case .present(let object, let stamp)?:
            let latest = memory.latest(of: key, object, stamp)
            return (latest as? R).map { .present($0) } ?? .unknown
        }
    }

    mutating func confirmedObjects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> {
        let kind = memory.kinds.number(of: type)
        let query = LabelQuery(kind: kind, namespace: namespace, pair: LabelPair(label, value))
        note(.confirmedList(query))
        guard let objects = memory.confirmedList(query, by: asker, at: askerVersion) else {
            wait(for: .confirmedList(asker: asker, query: query))
            return .unknown
        }
        return .present(
            objects.compactMap { object in
                let key = Key(kind: kind, namespace: namespace, name: object.metadata.name)
                return memory.latest(of: key, object, Stamp(object)) as? R
            })
    }

    mutating func log(of pod: Seen, container: String, as format: LogFormat) -> Observed<LogFacts> {
        let request = LogRequest(
            namespace: pod.ref.namespace, pod: pod.ref.name, podUID: pod.uid, container: container, format: format)
        note(.log(request))
        let facts = memory.log(request)
        if facts.isUnknown { wait(for: .log(request)) }
        return facts
    }

    /// Nobody waits for these: they tell how something goes on, and a decision does without them.
    mutating func lines(of pod: Seen, container: String, as format: LineFormat) -> Observed<LineFacts> {
        let request = LineRequest(
            namespace: pod.ref.namespace, pod: pod.ref.name, podUID: pod.uid, container: container, format: format)
        note(.lines(request))
        return memory.lines(request)
    }

    /// Nobody waits for these either.
    mutating func podRefusal(of owner: Seen) -> Observed<PodRefusal> {
        let request = RefusalRequest(
            namespace: owner.ref.namespace, name: owner.ref.name, uid: owner.uid, kind: owner.ref.kind.kind)
        note(.podRefusal(request))
        return memory.podRefusal(request, at: now)
    }

    mutating func ledger(_ question: LedgerQuestion) -> Observed<LedgerAnswer> {
        note(.ledger(question))
        let answer = memory.ledger(question)
        if answer.isUnknown { isWaiting = true }
        return answer
    }

    mutating func lastFailure() -> Failure? {
        guard let record = memory.failures[asker], !record.isPast else { return nil }
        return record.failure
    }

    func readFailure() -> ReadFailure? { refusal }

    mutating func remembered<Input: Equatable & Sendable, Value: Sendable>(
        _ topic: String, of input: Input, _ conclude: (Input) -> Value
    ) -> Value {
        if let known = memory.conclusions[asker]?[topic] as? Conclusion<Input, Value>, known.input == input {
            return known.value
        }
        let value = conclude(input)
        memory.conclusions[asker, default: [:]][topic] = Conclusion(input, value)
        return value
    }

    /// Gives the memory back, with the subscriptions in it.
    ///
    /// By exchange: there must never be a second reference to its tables while they are changed, or they are copied.
    mutating func giveBack(to owner: inout Memory) {
        memory.subscribe(asker, to: topics)
        swap(&memory, &owner)
    }

    private static func shown<R: Resource>(_ held: Shelf.Held?) -> Observed<R> {
        switch held {
        case nil, .buried: .absent(confirmed: false)
        case .unreadable: .unknown
        case .present(let object, _): (object as? R).map { .present($0) } ?? .unknown
        }
    }

    private mutating func wait(for fetch: Fetch) {
        isWaiting = true
        refusal = refusal ?? memory.readFailure(of: fetch)
    }

    private mutating func note(_ topic: Topic) {
        if noted.insert(topic).inserted { topics.append(topic) }
    }

    private mutating func watched<R: Resource>(_ type: R.Type, _ kind: Int, _ namespace: String) -> Shelf? {
        guard let shelf = memory.shelf(kind), shelf.namespace == nil || shelf.namespace == namespace else {
            unwatched.append(R.resourceKind)
            return nil
        }
        return shelf
    }
}

/// What once followed from an input. By reference: both may be large.
private final class Conclusion<Input: Equatable & Sendable, Value: Sendable>: Sendable {
    let input: Input
    let value: Value

    init(_ input: Input, _ value: Value) {
        self.input = input
        self.value = value
    }
}
