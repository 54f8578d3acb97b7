// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

extension Memory {
    // MARK: Asking

    /// The answer to a quorum read, if it was made since the asker's object is as it is; asked for otherwise.
    mutating func confirmed(_ target: Key, by asker: Key, at askerVersion: String) -> Live? {
        let place = Answers.Confirmation(asker: asker, target: target)
        if let slot = answers.confirmed[place], slot.askerVersion == askerVersion { return slot.live }
        answers.confirmed[place] = Answers.ConfirmedSlot(askerVersion: askerVersion, generation: nextSerial())
        request(.confirmed(asker: asker, target: target))
        return nil
    }

    /// The answer to a quorum list, if it was made since the asker's object is as it is; asked for otherwise.
    mutating func confirmedList(_ query: LabelQuery, by asker: Key, at askerVersion: String) -> [any Resource]? {
        let place = Answers.ListConfirmation(asker: asker, query: query)
        if let slot = answers.lists[place], slot.askerVersion == askerVersion { return slot.objects }
        answers.lists[place] = Answers.ListSlot(askerVersion: askerVersion, generation: nextSerial())
        request(.confirmedList(asker: asker, query: query))
        return nil
    }

    mutating func log(_ log: LogRequest) -> Observed<LogFacts> {
        if let slot = answers.logs[log] { return slot.value ?? .unknown }
        answers.logs[log] = Answers.Slot(generation: nextSerial())
        request(.log(log))
        return .unknown
    }

    /// Nearly every pod comes before its owner's Events are read at all.
    mutating func podRefusal(_ request: RefusalRequest, at now: Uptime) -> Observed<PodRefusal> {
        if let slot = answers.refusals[request] { return slot.value ?? .unknown }
        answers.refusals[request] = Answers.RefusalSlot(generation: nextSerial())
        timers.set(.fetch(.podRefusal(request)), at: now.adding(PodRefusal.patience * 1_000), for: .retry)
        return .unknown
    }

    mutating func ledger(_ question: LedgerQuestion) -> Observed<LedgerAnswer> {
        if let slot = answers.ledger[question] { return slot.value ?? .unknown }
        answers.ledger[question] = Answers.Slot(generation: nextSerial())
        request(.ledger(question))
        return .unknown
    }

    /// Replaces what a key reads. Answers that nobody reads any more are dropped.
    mutating func subscribe(_ key: Key, to topics: [Topic]) {
        for dropped in subscriptions.replace(key, with: topics) {
            switch dropped.topic {
            case .object, .labelled: break
            case .watched(let target): if dropped.isOrphaned { dropSight(target) }
            case .confirmed(let target): forget(.confirmed(asker: key, target: target))
            case .confirmedList(let query): forget(.confirmedList(asker: key, query: query))
            case .log(let request): if dropped.isOrphaned { forget(.log(request)) }
            case .lines(let request): if dropped.isOrphaned { dropLines(request) }
            case .podRefusal(let request): if dropped.isOrphaned { forget(.podRefusal(request)) }
            case .ledger(let question): if dropped.isOrphaned { forget(.ledger(question)) }
            }
        }
    }

    /// Forgets all about a key whose object is gone.
    mutating func forget(_ key: Key) {
        subscribe(key, to: [])
        failures[key] = nil
        circles[key] = nil
        conclusions[key] = nil
        timers.cancel(.pass(key))
    }

    private mutating func forget(_ fetch: Fetch) {
        answers.remove(fetch)
        unread[fetch] = nil
        timers.cancel(.fetch(fetch))
    }

    // MARK: Quorum reads

    /// What was told is no longer to be relied on: asks again.
    mutating func doubt(_ asker: Key, _ target: Key) {
        let place = Answers.Confirmation(asker: asker, target: target)
        guard var slot = answers.confirmed[place] else { return }
        slot.live = nil
        slot.generation = nextSerial()
        answers.confirmed[place] = slot
        request(.confirmed(asker: asker, target: target))
    }

    /// As the other, of a list.
    mutating func doubt(_ asker: Key, _ query: LabelQuery) {
        let place = Answers.ListConfirmation(asker: asker, query: query)
        guard var slot = answers.lists[place] else { return }
        slot.objects = nil
        slot.generation = nextSerial()
        answers.lists[place] = slot
        request(.confirmedList(asker: asker, query: query))
    }

    /// The watch, or an own write, has news of an object that somebody reads by quorum.
    mutating func reconsider(_ asker: Key, _ target: Key, _ change: Shelf.Change) {
        let place = Answers.Confirmation(asker: asker, target: target)
        switch (answers.confirmed[place]?.live, change.present) {
        case (.present(_, let known)?, let now?) where known.uid == now.uid:
            switch now.version.order(to: known.version) {
            case .earlier, .same: return
            case .later, .unknown: break
            }
            // A later version of the incarnation that was read: the reader takes it from the cache.
            wake(asker)
        case (.absent?, nil) where change.isGone: return
        default: doubt(asker, target)
        }
    }

    /// A quorum read of an object was made: it answers everybody who reads that object so.
    mutating func noteQuorum(_ target: Key, _ live: Live) {
        for asker in subscriptions.readers(of: .confirmed(target)) {
            let place = Answers.Confirmation(asker: asker, target: target)
            guard var slot = answers.confirmed[place] else { continue }
            slot.live = live
            slot.generation = nextSerial()
            slot.failures = 0
            answers.confirmed[place] = slot
            unread[.confirmed(asker: asker, target: target)] = nil
            wake(asker)
        }
    }

    /// A quorum read was made, whoever asked for it: it answers all readers, and the cache takes what it may hold.
    mutating func learned(_ target: Key, _ live: Live) {
        noteQuorum(target, live)
        keep(live, target)
    }

    /// An own write has made this of an object. What is no part of a cache is told to those who read it by quorum.
    mutating func wrote(_ object: any Resource, _ key: Key) {
        if shelf(key.kind)?.takes(object) == true {
            store(object, from: .answer, kind: key.kind)
        } else {
            learned(key, Live(object))
        }
    }

    /// What an answer shows goes wherever it may be held.
    private mutating func keep(_ live: Live, _ target: Key) {
        guard case .present(let object, _) = live else { return }
        if shelf(target.kind) != nil {
            store(object, from: .answer, kind: target.kind)
        } else {
            changeSight(target) { $0.put(object, from: .answer) }
        }
    }

    /// The answer to one reader's question.
    mutating func confirmedArrived(_ asker: Key, _ target: Key, _ generation: UInt64, _ live: Live) {
        let place = Answers.Confirmation(asker: asker, target: target)
        if answers.confirmed[place]?.generation == generation {
            answers.confirmed[place]?.live = live
            answers.confirmed[place]?.failures = 0
            unread[.confirmed(asker: asker, target: target)] = nil
            wake(asker)
        }
        keep(live, target)
    }

    /// The answer to one reader's quorum list.
    mutating func listArrived(_ asker: Key, _ query: LabelQuery, _ generation: UInt64, _ objects: [any Resource]) {
        let place = Answers.ListConfirmation(asker: asker, query: query)
        guard answers.lists[place]?.generation == generation else { return }
        answers.lists[place]?.objects = objects
        answers.lists[place]?.failures = 0
        unread[.confirmedList(asker: asker, query: query)] = nil
        wake(asker)
    }

    // MARK: Logs and ledger

    mutating func logArrived(_ request: LogRequest, _ generation: UInt64, _ facts: Observed<LogFacts>) {
        guard answers.logs[request]?.generation == generation else { return }
        answers.logs[request]?.value = facts
        answers.logs[request]?.failures = 0
        unread[.log(request)] = nil
        wake(readersOf: .log(request))
    }

    /// - Parameter moment: When to ask again, if somebody still wants to know: the words may become others.
    mutating func refusalArrived(
        _ request: RefusalRequest, _ generation: UInt64, _ value: Observed<PodRefusal>, askAgain moment: Uptime
    ) {
        guard let slot = answers.refusals[request], slot.generation == generation else { return }
        answers.refusals[request] = Answers.RefusalSlot(
            generation: generation, value: value, answers: slot.answers + 1)
        timers.set(.fetch(.podRefusal(request)), at: moment, for: .resync)
        if slot.value != value { wake(readersOf: .podRefusal(request)) }
    }

    /// - Parameter retry: When to ask again, if there was no real answer.
    mutating func ledgerArrived(
        _ question: LedgerQuestion, _ generation: UInt64, _ answer: Observed<LedgerAnswer>, askAgain moment: Uptime?
    ) {
        guard let slot = answers.ledger[question], slot.generation == generation else { return }
        answers.ledger[question]?.value = answer
        if let moment {
            answers.ledger[question]?.failures += 1
            timers.set(.fetch(.ledger(question)), at: moment, for: .retry)
        } else {
            answers.ledger[question]?.failures = 0
        }
        if slot.value != answer { wake(readersOf: .ledger(question)) }
    }

    /// We wrote the row, or tried to: `row` is what it now is, `nil` when that is unknown.
    mutating func ledgerWritten(_ uid: String, _ row: LedgerRow?) {
        let question = LedgerQuestion.run(uid: uid)
        guard let slot = answers.ledger[question] else { return }
        let value = row.map { Observed.present(LedgerAnswer.run($0)) }
        answers.ledger[question] = Answers.Slot(generation: nextSerial(), value: value ?? slot.value, failures: 0)
        timers.cancel(.fetch(.ledger(question)))
        guard let value else {
            // Asked again; until then readers see what was known before the attempt.
            answers.ledger[question]?.failures = 1
            request(.ledger(question))
            return
        }
        if slot.value != value { wake(readersOf: .ledger(question)) }
    }

    /// A fetch failed: again at that moment, if somebody still wants to know.
    /// - Parameter refusal: Why, when it won't pass by itself.
    /// - Returns: How many times in a row it has failed; 0 when nobody wants to know any more.
    mutating func failed(_ fetch: Fetch, _ refusal: ReadFailure? = nil) -> Int {
        let failures = countFailure(of: fetch)
        if failures > 0 { note(refusal, of: fetch) }
        return failures
    }

    private mutating func countFailure(of fetch: Fetch) -> Int {
        switch fetch {
        case .confirmed(let asker, let target):
            let place = Answers.Confirmation(asker: asker, target: target)
            answers.confirmed[place]?.failures += 1
            return answers.confirmed[place]?.failures ?? 0
        case .confirmedList(let asker, let query):
            let place = Answers.ListConfirmation(asker: asker, query: query)
            answers.lists[place]?.failures += 1
            return answers.lists[place]?.failures ?? 0
        case .sight(let key):
            guard sights[key]?.isWatched == false else { return 0 }
            sights[key]?.failures += 1
            return sights[key]?.failures ?? 0
        case .log(let request):
            answers.logs[request]?.failures += 1
            return answers.logs[request]?.failures ?? 0
        case .podRefusal(let request):
            answers.refusals[request]?.failures += 1
            return answers.refusals[request]?.failures ?? 0
        case .ledger(let question): return answers.ledger[question]?.failures ?? 0
        }
    }
}
