// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams
import Testing

@testable import ControlLoop

/// What an object's own watch, quorum reads and own writes tell in an unlucky order.
@Suite struct SightMemoryTests {
    private let settings = Settings(agentImage: "agent", controllerNamespace: "reprise-system")
    private let name = ObjectName(namespace: "a", name: "x")

    private func object(_ version: String, uid: String = "u") -> ConfigMap {
        ConfigMap(metadata: ObjectMeta(name: "x", namespace: "a", uid: uid, resourceVersion: version))
    }

    /// A memory in which one key reads `x`, which may be watched or has to wait.
    private func fresh(watches: Int = 1) -> (Memory, asker: Key, target: Key) {
        var memory = Memory()
        memory.watchLimit = watches
        let kind = memory.watch(WatchedKind.children(ConfigMap.self))
        _ = memory.replace([], [], at: "10", begunAt: 0, on: .kind(kind))
        return (memory, Key(kind: kind, namespace: "a", name: "asker"), Key(kind: kind, namespace: "a", name: "x"))
    }

    @discardableResult
    private func read(_ memory: inout Memory, _ asker: Key, isSure: Bool = false) -> Observed<ConfigMap> {
        var reader = PassReader(
            borrowing: &memory, for: asker, at: "1", now: Uptime(milliseconds: 0), settings: settings)
        var value = reader.watched(ConfigMap.self, "a", "x")
        if case .absent = value, isSure { value = reader.confirmed(ConfigMap.self, "a", "x") }
        reader.giveBack(to: &memory)
        return value
    }

    private func taken(_ memory: inout Memory) throws -> Sighting {
        let sighting = memory.takeSighting()
        return try #require(sighting)
    }

    private func version(_ memory: inout Memory, _ asker: Key) -> String? {
        read(&memory, asker).value?.metadata.resourceVersion
    }

    private func list(_ memory: inout Memory, _ sighting: Sighting, _ objects: [ConfigMap], at version: String) -> Bool
    {
        let place = Place.sight(sighting.key, opening: sighting.opening)
        return memory.replace(objects, [], at: version, begunAt: memory.nextSerial(), on: place)
    }

    @Test func whatAnEarlierWatchTellsLateIsNotHeard() throws {
        var (memory, asker, _) = fresh()
        read(&memory, asker)
        let first = try taken(&memory)
        #expect(list(&memory, first, [object("11")], at: "11"))
        memory.forget(asker)
        #expect(memory.rings.dropped.count == 1)
        #expect(read(&memory, asker).isUnknown)
        // Its place is free only when it has ended.
        let tooEarly = memory.takeSighting()
        #expect(tooEarly == nil)
        // Later than the list that is about to be taken: it would seem to go back.
        let late = object("14")
        memory.hear(on: .sight(first.key, opening: first.opening)) { $0.put(late, from: .watch) }
        #expect(list(&memory, first, [late], at: "14"))
        #expect(read(&memory, asker).isUnknown)
        memory.finishSighting(first)
        let second = try taken(&memory)
        #expect(list(&memory, second, [], at: "13"))
        #expect(read(&memory, asker) == .absent(confirmed: false))
    }

    @Test func aListOfBeforeAnOwnWriteDoesNotUndoIt() throws {
        var (memory, asker, target) = fresh()
        read(&memory, asker)
        let sighting = try taken(&memory)
        memory.store(object("20"), from: .answer, kind: target.kind)
        #expect(list(&memory, sighting, [object("15")], at: "18"))
        #expect(version(&memory, asker) == "20")
        let old = object("17")
        memory.hear(on: .sight(target, opening: sighting.opening)) { $0.put(old, from: .watch) }
        #expect(version(&memory, asker) == "20")
        // Deleted by us and gone: no event of before brings it back.
        memory.bury(object("20").seen)
        #expect(read(&memory, asker) == .absent(confirmed: false))
        let last = object("19")
        memory.hear(on: .sight(target, opening: sighting.opening)) { $0.put(last, from: .watch) }
        #expect(read(&memory, asker) == .absent(confirmed: false))
        let next = object("22", uid: "v")
        memory.hear(on: .sight(target, opening: sighting.opening)) { $0.put(next, from: .watch) }
        #expect(version(&memory, asker) == "22")
    }

    @Test func aReadThatAnOwnWriteOvertookIsMadeAgain() throws {
        var (memory, asker, target) = fresh(watches: 0)
        read(&memory, asker)
        let fetch = Fetch.sight(target)
        #expect(memory.fetches.take() == fetch)
        let generation = try #require(memory.wanted(fetch))
        memory.store(object("20"), from: .answer, kind: target.kind)
        memory.sightArrived(target, generation, .absent, askAgain: Uptime(milliseconds: 5))
        #expect(read(&memory, asker).isUnknown)
        memory.finishFetch(fetch)
        #expect(memory.fetches.take() == fetch)
        let again = try #require(memory.wanted(fetch))
        memory.sightArrived(target, again, Live(object("20")), askAgain: Uptime(milliseconds: 5))
        memory.finishFetch(fetch)
        #expect(version(&memory, asker) == "20")
        // It is read again at that moment, and not before.
        memory.fire(at: Uptime(milliseconds: 4))
        #expect(memory.fetches.isIdle)
        memory.fire(at: Uptime(milliseconds: 5))
        #expect(memory.fetches.take() == fetch)
    }

    @Test func whatTheWatchTellsEndsCertaintyAndRenewsWhatWasRead() throws {
        var (memory, asker, target) = fresh()
        read(&memory, asker)
        let sighting = try taken(&memory)
        #expect(list(&memory, sighting, [], at: "11"))
        #expect(read(&memory, asker, isSure: true).isUnknown)
        let fetch = Fetch.confirmed(asker: asker, target: target)
        #expect(memory.fetches.take() == fetch)
        memory.confirmedArrived(asker, target, try #require(memory.wanted(fetch)), .absent)
        memory.finishFetch(fetch)
        #expect(read(&memory, asker, isSure: true).isConfirmedAbsent)
        let made = object("12")
        memory.hear(on: .sight(target, opening: sighting.opening)) { $0.put(made, from: .watch) }
        #expect(memory.answers.wanted(fetch) != nil)
        #expect(version(&memory, asker) == "12")
    }

    /// Of what is no part of a cache, its own watch alone tells more than a quorum read did.
    @Test func aQuorumReadShowsWhatTheWatchHasToldSince() throws {
        var (memory, asker, target) = fresh()
        func both(_ memory: inout Memory) -> [String?] {
            var reader = PassReader(
                borrowing: &memory, for: asker, at: "1", now: Uptime(milliseconds: 0), settings: settings)
            let read = [
                reader.watched(ConfigMap.self, "a", "x"), reader.confirmed(ConfigMap.self, "a", "x"),
            ].map { $0.value?.metadata.resourceVersion }
            reader.giveBack(to: &memory)
            return read
        }
        #expect(both(&memory) == [nil, nil])
        let sighting = try taken(&memory)
        #expect(list(&memory, sighting, [object("11")], at: "11"))
        let fetch = Fetch.confirmed(asker: asker, target: target)
        #expect(memory.fetches.take() == fetch)
        memory.confirmedArrived(asker, target, try #require(memory.wanted(fetch)), Live(object("12")))
        memory.finishFetch(fetch)
        // Each tells the other.
        #expect(both(&memory) == ["12", "12"])
        let next = object("13")
        memory.hear(on: .sight(target, opening: sighting.opening)) { $0.put(next, from: .watch) }
        #expect(both(&memory) == ["13", "13"])
        #expect(memory.fetches.isIdle)
    }

    @Test func aKindWithoutACacheIsToldOfAnswersToo() throws {
        var (memory, asker, _) = fresh()
        var reader = PassReader(
            borrowing: &memory, for: asker, at: "1", now: Uptime(milliseconds: 0), settings: settings)
        _ = reader.watched(Service.self, "a", "x")
        reader.giveBack(to: &memory)
        let sighting = try taken(&memory)
        let place = Place.sight(sighting.key, opening: sighting.opening)
        let isTaken = memory.replace([], [], at: "11", begunAt: 0, on: place)
        #expect(isTaken)
        let made = Service(metadata: ObjectMeta(name: "x", namespace: "a", uid: "u", resourceVersion: "12"))
        memory.learned(sighting.key, Live(made))
        reader = PassReader(borrowing: &memory, for: asker, at: "1", now: Uptime(milliseconds: 0), settings: settings)
        let seen = reader.watched(Service.self, "a", "x")
        reader.giveBack(to: &memory)
        #expect(seen == .present(made))
    }

    @Test func whoComesBackBehindOthersIsReadByQuorum() throws {
        var (memory, asker, target) = fresh()
        read(&memory, asker)
        let first = try taken(&memory)
        memory.forget(asker)
        read(&memory, asker)
        #expect(memory.fetches.isIdle)
        var reader = PassReader(
            borrowing: &memory, for: target, at: "1", now: Uptime(milliseconds: 0), settings: settings)
        _ = reader.watched(ConfigMap.self, "a", "y")
        reader.giveBack(to: &memory)
        let other = Fetch.sight(Key(kind: target.kind, namespace: "a", name: "y"))
        #expect(memory.fetches.take() == other)
        memory.finishFetch(other)
        memory.finishSighting(first)
        #expect(memory.fetches.take() == .sight(target))
        let second = try taken(&memory)
        #expect(second.key.name == "y")
    }

    @Test func itIsAskedForInTheOrderOfAsking() throws {
        var (memory, asker, _) = fresh()
        for name in ["c", "a", "b"] {
            var reader = PassReader(
                borrowing: &memory, for: Key(kind: asker.kind, namespace: "a", name: name), at: "1",
                now: Uptime(milliseconds: 0), settings: settings)
            _ = reader.watched(ConfigMap.self, "a", name)
            reader.giveBack(to: &memory)
        }
        var order: [String] = []
        while let sighting = memory.takeSighting() {
            order.append(sighting.key.name)
            memory.finishSighting(sighting)
        }
        #expect(order == ["c", "a", "b"])
    }
}
