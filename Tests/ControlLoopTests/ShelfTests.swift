// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources
import Testing

@testable import ControlLoop

@Suite struct ShelfTests {
    private let name = ObjectName(namespace: "a", name: "x")

    private func object(_ version: String, uid: String = "u1", labels: [String: String]? = nil) -> ConfigMap {
        ConfigMap(
            metadata: ObjectMeta(name: "x", namespace: "a", uid: uid, resourceVersion: version, labels: labels))
    }

    private func stamp(_ version: String, uid: String = "u1") -> Stamp { Stamp(uid: uid, version: Version(version)) }

    private func broken(_ version: String, uid: String = "u1") -> UndecodableObject {
        UndecodableObject(
            ref: Ref(ConfigMap.resourceKind, "a", "x"), uid: uid, resourceVersion: version, message: "spec: Int expected")
    }

    private func version(_ shelf: Shelf) -> String? {
        guard case .present(_, let stamp) = shelf.held[name] else { return nil }
        return stamp.version.text
    }

    @Test func objectNeverGoesBack() {
        var shelf = Shelf()
        #expect(shelf.put(object("9"), from: .watch) != nil)
        #expect(shelf.put(object("10"), from: .answer) != nil)
        #expect(shelf.put(object("9"), from: .watch) == nil)
        #expect(shelf.put(object("10"), from: .watch) == nil)
        #expect(version(shelf) == "10")
    }

    @Test func anotherIncarnationMustBeLater() {
        var shelf = Shelf()
        _ = shelf.put(object("10", uid: "u2"), from: .answer)
        #expect(shelf.put(object("9"), from: .watch) == nil)
        #expect(shelf.remove(name, stamp("9"), from: .watch) == nil)
        #expect(shelf.put(object("12", uid: "u3"), from: .watch) != nil)
    }

    @Test func versionsThatAreNoNumbersCompareForEquality() {
        var shelf = Shelf()
        #expect(shelf.put(object("abc"), from: .watch) != nil)
        #expect(shelf.put(object("abc"), from: .watch) == nil)
        #expect(shelf.put(object("abb"), from: .watch) != nil)
    }

    @Test func lateAnswerDoesNotBringADeletedObjectBack() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        #expect(shelf.remove(name, stamp("7"), from: .watch)?.isGone == true)
        #expect(shelf.put(object("6"), from: .answer) == nil)
        #expect(shelf.put(object("8", uid: "u2"), from: .answer) != nil)
    }

    @Test func ownDeleteIsSeenAtOnceAndStays() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        #expect(shelf.bury(name, uid: "u1", serial: 1)?.isGone == true)
        #expect(shelf.bury(name, uid: "u1", serial: 2) == nil)
        #expect(shelf.put(object("6"), from: .watch) == nil)
        #expect(shelf.remove(name, stamp("7"), from: .watch) == nil)
        #expect(shelf.held.isEmpty)
        _ = shelf.put(object("8", uid: "u2"), from: .watch)
        #expect(version(shelf) == "8")
    }

    @Test func newerIncarnationEndsABurial() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        _ = shelf.bury(name, uid: "u1", serial: 1)
        #expect(shelf.put(object("9", uid: "u2"), from: .answer)?.present == stamp("9", uid: "u2"))
    }

    @Test func listKeepsLaterAnswersAndDropsTheRest() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        #expect(shelf.replace([], [], at: Version("6"), begunAt: 1)?.count == 1)
        #expect(shelf.isSynced)
        _ = shelf.put(object("9", uid: "u2"), from: .answer)
        #expect(shelf.replace([], [], at: Version("8"), begunAt: 2) == [])
        #expect(version(shelf) == "9")
        #expect(shelf.replace([], [], at: Version("7"), begunAt: 3) == nil)
    }

    @Test func listThatBeganAfterABurialKnowsBetter() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        _ = shelf.bury(name, uid: "u1", serial: 4)
        #expect(shelf.replace([object("6")], [], at: Version("7"), begunAt: 3) == [])
        #expect(version(shelf) == nil)
        #expect(shelf.replace([object("6")], [], at: Version("8"), begunAt: 5)?.count == 1)
        #expect(version(shelf) == "6")
    }

    @Test func labelsAreIndexedOnceSomebodyAsks() {
        var shelf = Shelf()
        let pair = LabelPair("run", "1")
        _ = shelf.put(object("5", labels: ["run": "1"]), from: .watch)
        #expect(shelf.objects("a", pair)?.count == 1)
        #expect(shelf.objects("b", pair)?.count == 0)
        let change = shelf.put(object("6", labels: ["run": "2"]), from: .watch)
        #expect(change?.slots.map(\.pair.value) == ["1", "2"])
        #expect(shelf.objects("a", pair)?.count == 0)
        #expect(shelf.objects("a", LabelPair("run", "2"))?.count == 1)
    }

    @Test func unreadableIsNeitherStaleNorAbsent() {
        var shelf = Shelf()
        let pair = LabelPair("run", "1")
        _ = shelf.put(object("5", labels: ["run": "1"]), from: .watch)
        #expect(shelf.markUnreadable(broken("6"))?.isUnreadable == true)
        #expect(shelf.objects("a", pair) == nil)
        #expect(shelf.objects("a", LabelPair("run", "2"))?.count == 0)
        #expect(shelf.objects("b", pair)?.count == 0)
        #expect(shelf.unreadableCount == 1)
        #expect(shelf.put(object("5"), from: .answer) == nil)
        #expect(shelf.put(object("7"), from: .watch)?.isUnreadable == true)
        #expect(shelf.unreadableCount == 0)
    }

    @Test func unreadableOfUnknownLabelsMayBePartOfAnything() {
        var shelf = Shelf()
        _ = shelf.replace([], [broken("6")], at: Version("7"), begunAt: 0)
        #expect(shelf.objects("a", LabelPair("run", "1")) == nil)
        #expect(shelf.objects("b", LabelPair("run", "1"))?.count == 0)
    }

    @Test func strangersStayOutAndLeavers() {
        var shelf = Shelf(selector: LabelPair("by", "us"))
        #expect(shelf.put(object("5"), from: .answer) == nil)
        _ = shelf.put(object("6", labels: ["by": "us"]), from: .watch)
        #expect(shelf.put(object("7"), from: .answer)?.isGone == true)
        // The watch's word of it comes later, and changes nothing.
        #expect(shelf.remove(name, stamp("7"), from: .watch) == nil)
    }
}
