// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What is known of something outside. Absence is knowledge, silence is not.
///
/// `absent` from a watch cache never ends a run, frees a lock or destroys data unless it is `confirmed`: a quorum read
/// made after the object at hand was read.
package enum Observed<Value: Equatable & Sendable>: Equatable, Sendable {
    case unknown
    case absent(confirmed: Bool)
    /// Behind a reference: objects are large, and snapshots are passed around.
    indirect case present(Value)

    /// The value, if it is there.
    package var value: Value? {
        if case .present(let value) = self { return value }
        return nil
    }

    package var isUnknown: Bool {
        if case .unknown = self { return true }
        return false
    }

    /// Surely not there.
    package var isConfirmedAbsent: Bool {
        if case .absent(confirmed: true) = self { return true }
        return false
    }
}

/// How the last pass over this key failed, so that a decision can show it, wait or give up. Kept in memory only.
package struct Failure: Equatable, Sendable {
    /// What was tried, in words: `create Job staging/reprise-3f2a91c0-seal-1`.
    package var effect: String
    /// The API server's reason (`Forbidden`, `Invalid`), or the error's code.
    package var reason: String
    /// In the API server's own words (a quota's, a policy's), bounded.
    package var message: String
    package var disposition: Disposition
    /// How many passes in a row failed in this way.
    package var count: Int
    package var since: Timestamp

    package init(
        effect: String, reason: String, message: String, disposition: Disposition, count: Int, since: Timestamp
    ) {
        self.effect = effect
        self.reason = reason
        self.message = message
        self.disposition = disposition
        self.count = count
        self.since = since
    }
}

/// Something that can't be read, and won't be by itself: of rights, mostly.
package struct ReadFailure: Equatable, Sendable {
    /// So many times in a row it must have failed.
    package static let patience = 3

    /// What was to be read, in words: `ConfigMap staging/reprise-3f2a91c0-permit-replace`.
    package var what: String
    /// In the API server's own words, bounded.
    package var message: String

    package init(what: String, message: String) {
        self.what = what
        self.message = message
    }
}

/// What to expect of a Job's framed result. `attempt` is the token which the result must carry, and `message` the
/// container's termination message, whose digest it must match: otherwise it is not believed.
package struct LogFormat: Hashable, Sendable {
    package enum Content: String, Sendable { case scan, repositoryScan, seal, backup, inspect, replace }

    package var content: Content
    package var attempt: String
    package var message: String?

    package init(_ content: Content, attempt: String, message: String?) {
        self.content = content
        self.attempt = attempt
        self.message = message
    }
}

/// Bounded facts from a pod's log; never its text.
package enum LogFacts: Equatable, Sendable {
    case scan(ScanResult)
    case repositoryScan(RepositoryScanResult)
    case seal(SealResult)
    case backup(BackupResult)
    case inspect(InspectResult)
    case replace(ReplaceResult)
    /// There is no result, or it is not to be believed; says why.
    case unbelievable(String)
}

/// Lines to look for in the log of a container that runs. A closed list: what it does not name never leaves the reader,
/// because PostgreSQL's log holds literals and passwords.
package struct LinePattern: Hashable, Sendable {
    /// What a matching line means: a reason (`TargetNotReached`), or a kind of progress.
    package var name: String
    /// Literals that must occur in a line, in this order.
    package var pieces: [String]
    /// Whether the word after the last piece is kept (up to a blank or a quote; letters, digits, `_./:-`; at most 128).
    package var keepsWord: Bool

    package init(_ name: String, _ pieces: [String], keepsWord: Bool = false) {
        self.name = name
        self.pieces = pieces
        self.keepsWord = keepsWord
    }
}

/// What to read of a container's log while it runs: from its start, as it grows.
package struct LineFormat: Hashable, Sendable {
    package var patterns: [LinePattern]
    /// How often the container has been restarted: the log of one start is not that of another.
    package var restart: Int

    package init(patterns: [LinePattern], restart: Int) {
        self.patterns = patterns
        self.restart = restart
    }
}

/// What a log has given away so far; never its text.
package struct LineFacts: Equatable, Sendable {
    /// How many lines matched, by the pattern's name.
    package var counts: [String: Int]
    /// The word of the last line that matched, by the pattern's name.
    package var words: [String: String]
    /// When the last line that matched was written, by the node's clock.
    package var lastAt: Timestamp?

    package init(counts: [String: Int] = [:], words: [String: String] = [:], lastAt: Timestamp? = nil) {
        self.counts = counts
        self.words = words
        self.lastAt = lastAt
    }
}

/// What the controller was started with.
package struct Settings: Hashable, Sendable {
    /// Image of the `agent`, for Jobs that scan.
    package var agentImage: String
    package var agentImagePullPolicy: String?
    /// Where the controller's own objects live (leader Lease, spool).
    package var controllerNamespace: String
    /// Lets repositories name loopback and private endpoints; for development clusters.
    package var allowLoopbackEndpoints: Bool
    /// Where the ledger's servers are: names and addresses.
    package var ledgerHosts: [String] = []

    package init(
        agentImage: String, controllerNamespace: String, agentImagePullPolicy: String? = nil,
        allowLoopbackEndpoints: Bool = false
    ) {
        self.agentImage = agentImage
        self.controllerNamespace = controllerNamespace
        self.agentImagePullPolicy = agentImagePullPolicy
        self.allowLoopbackEndpoints = allowLoopbackEndpoints
    }
}

/// The only way to look at the world, and only while a snapshot is built. **Every read is a subscription**: the key is
/// woken when the answer changes.
///
/// Watched kinds are answered from the cache at once. The others answer `unknown`, are fetched by the loop for as long
/// as some key reads them, and wake it. What is read is what is watched: no event is mapped by hand.
package protocol Reader {
    var settings: Settings { get }
    /// From the watch cache. Children are watched by the label `app.kubernetes.io/managed-by=reprise`, so a stranger's
    /// object of that name is `absent(confirmed: false)` here.
    mutating func object<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R>
    /// All cached objects with this label value, ordered by name. `unknown` until the cache is filled.
    mutating func objects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]>
    /// Whoever made it, kept up to date by a watch of this one object for as long as some key reads it; own writes show
    /// at once. `unknown` until the server has answered once; an object that can't be decoded is `unknown` too.
    ///
    /// Never `absent(confirmed: true)`: the watch may be behind, and what it began with was read for whichever key asked
    /// first, not after the object at hand was read. That an incarnation is gone is sure when its deletion was heard; that
    /// nothing is there under its name is not. Where something follows from that, ask `confirmed` as well.
    ///
    /// So many objects at most are watched at once (`LoopConfiguration.watches`). The others wait for their turn in the order
    /// in which they were asked for, and are read by quorum every half minute meanwhile.
    mutating func watched<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R>
    /// A quorum read made after the object at hand was read in its present resourceVersion; sees strangers' objects.
    mutating func confirmed<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R>
    /// A quorum list made after the object at hand was read in its present resourceVersion, ordered by name. For what must
    /// not be missed: a cache of one kind may be behind what another kind's cache says.
    mutating func confirmedObjects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]>
    /// The framed result in the log of a terminated container.
    mutating func log(of pod: Seen, container: String, as format: LogFormat) -> Observed<LogFacts>
    /// What the log of a running (or just ended) container says, followed as it grows. `unknown` until it could be opened;
    /// empty facts when it was, and nothing matched.
    mutating func lines(of pod: Seen, container: String, as format: LineFormat) -> Observed<LineFacts>
    /// Why a Job or StatefulSet has no pod, as far as its controller says so in Events. To be asked only while it should have
    /// one and none is seen: nothing is read before it was asked for so long without a break (`PodRefusal.patience`), and
    /// then from time to time. `unknown` until then; `absent(confirmed: true)` when no Event tells of a refusal.
    mutating func podRefusal(of owner: Seen) -> Observed<PodRefusal>
    /// `absent(confirmed: true)` when the ledger has no such row.
    mutating func ledger(_ question: LedgerQuestion) -> Observed<LedgerAnswer>
    /// How the last pass over the object at hand failed; `nil` when it succeeded.
    mutating func lastFailure() -> Failure?
    /// What was read for this snapshot and can't be; to be asked last. `nil` when all was answered, may yet be, or fails in a
    /// way that passes.
    mutating func readFailure() -> ReadFailure?
    /// What follows from an input alone. It is not worked out again while passes over the object at hand give the same
    /// input: most passes are about something else than the spec.
    /// - Parameters:
    ///   - topic: Tells apart what is remembered for one object.
    ///   - conclude: Pure: the same input gives the same value.
    mutating func remembered<Input: Equatable & Sendable, Value: Sendable>(
        _ topic: String, of input: Input, _ conclude: (Input) -> Value
    ) -> Value
}

extension Reader {
    package mutating func readFailure() -> ReadFailure? { nil }

    /// A reader without a memory thinks anew each time.
    package mutating func remembered<Input: Equatable & Sendable, Value: Sendable>(
        _ topic: String, of input: Input, _ conclude: (Input) -> Value
    ) -> Value { conclude(input) }
}
