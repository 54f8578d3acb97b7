// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// An object of one kind, small enough to stand in every table. The kind is its number in the `KindTable`.
struct Key: Hashable, Comparable, Sendable {
    var kind: Int
    var namespace: String
    var name: String

    static func < (left: Key, right: Key) -> Bool {
        (left.kind, left.namespace, left.name) < (right.kind, right.namespace, right.name)
    }
}

/// One label with its value.
package struct LabelPair: Hashable, Sendable {
    package var label: String
    package var value: String

    package init(_ label: String, _ value: String) {
        self.label = label
        self.value = value
    }
}

/// All objects of a kind in a namespace that have a label.
struct LabelQuery: Hashable, Sendable {
    var kind: Int
    var namespace: String
    var pair: LabelPair
}

/// The result of one container, as somebody wants it.
struct LogRequest: Hashable, Sendable {
    var namespace: String
    var pod: String
    var podUID: String
    var container: String
    var format: LogFormat
}

/// The log of one start of one container, as somebody wants it read while it grows.
struct LineRequest: Hashable, Sendable {
    var namespace: String
    var pod: String
    /// Tells one pod from another of its name. The API server is asked by name alone, so for a moment the log may be
    /// that of a successor; whoever reads it hears of that pod, and reads something else.
    var podUID: String
    var container: String
    var format: LineFormat
}

/// What the Events of one owner of pods tell, as somebody wants it.
struct RefusalRequest: Hashable, Sendable {
    var namespace: String
    /// The owner's name.
    var name: String
    var uid: String
    /// In words, for the log.
    var kind: String
}

/// What can be read, and can therefore change for its readers.
enum Topic: Hashable, Sendable {
    case object(Key)
    case labelled(LabelQuery)
    /// An object that is watched by itself.
    case watched(Key)
    /// A quorum read of an object; each reader has an answer of its own.
    case confirmed(Key)
    /// A quorum list; each reader has an answer of its own.
    case confirmedList(LabelQuery)
    indirect case log(LogRequest)
    indirect case lines(LineRequest)
    indirect case podRefusal(RefusalRequest)
    case ledger(LedgerQuestion)
}

/// Who read what in its last pass. A key that read nothing takes no room.
struct Subscriptions: Sendable {
    /// A topic that a key has stopped reading.
    struct Dropped: Equatable, Sendable {
        var topic: Topic
        /// Nobody reads it any more.
        var isOrphaned: Bool
    }

    private var reads: [Key: [Topic]] = [:]
    private var readers: [Topic: Set<Key>] = [:]

    /// How many keys read something.
    var readerCount: Int { reads.count }
    var topicCount: Int { readers.count }

    /// Replaces everything that the key read by what it reads now.
    /// - Parameter topics: Without repetitions.
    mutating func replace(_ key: Key, with topics: [Topic]) -> [Dropped] {
        let former = reads[key] ?? []
        if former == topics { return [] }
        reads[key] = topics.isEmpty ? nil : topics
        for topic in topics { readers[topic, default: []].insert(key) }
        let kept = Set(topics)
        return former.filter { !kept.contains($0) }.map { topic in
            readers[topic]?.remove(key)
            let isOrphaned = readers[topic]?.isEmpty ?? true
            if isOrphaned { readers[topic] = nil }
            return Dropped(topic: topic, isOrphaned: isOrphaned)
        }
    }

    /// What the key reads.
    func topics(of key: Key) -> [Topic] { reads[key] ?? [] }

    /// Who reads any label of a kind in a namespace, in order. Looks at everything: for rare events.
    func readersOfLabels(kind: Int, namespace: String) -> [Key] {
        var found: Set<Key> = []
        for (topic, keys) in readers {
            guard case .labelled(let query) = topic, query.kind == kind, query.namespace == namespace else { continue }
            found.formUnion(keys)
        }
        return found.sorted()
    }

    /// Who reads this, in order.
    func readers(of topic: Topic) -> [Key] { readers[topic]?.sorted() ?? [] }
}
