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
            ref: Ref(ConfigMap.resourceKind, "a", "x"), uid: uid, resourceVersion: version,
            message: "spec: Int expected")
    }

    private func version(_ shelf: Shelf) -> String? {
        guard case .present(_, let stamp) = shelf.held[name] else { return nil }
        return stamp.version.text
    }

    @Test func objectNeverGoesBack() {
        var shelf = Shelf()
        let seen1 = shelf.put(object("9"), from: .watch)
        #expect(seen1 != nil)
        let seen2 = shelf.put(object("10"), from: .answer)
        #expect(seen2 != nil)
        let seen3 = shelf.put(object("9"), from: .watch)
        #expect(seen3 == nil)
        let seen4 = shelf.put(object("10"), from: .watch)
        #expect(seen4 == nil)
        #expect(version(shelf) == "10")
    }

    /// The watch's echo of an own write need not be read.
    @Test func whatIsHeldInThatVersionIsKnown() {
        var shelf = Shelf()
        #expect(!shelf.holds(stamp("9"), at: name), "nothing is held")
        _ = shelf.put(object("10"), from: .answer)
        #expect(shelf.holds(stamp("10"), at: name))
        #expect(shelf.holds(stamp("9"), at: name))
        #expect(!shelf.holds(stamp("11"), at: name))
        #expect(!shelf.holds(stamp("10", uid: "u2"), at: name), "another incarnation")
        #expect(!shelf.holds(stamp(""), at: name), "a version that can't be compared")
        _ = shelf.bury(name, uid: "u1", serial: 1)
        #expect(!shelf.holds(stamp("10"), at: name))
        var broken = Shelf()
        _ = broken.markUnreadable(self.broken("10"))
        #expect(!broken.holds(stamp("10"), at: name), "what can't be read may be readable the next time")
    }

    @Test func anotherIncarnationMustBeLater() {
        var shelf = Shelf()
        _ = shelf.put(object("10", uid: "u2"), from: .answer)
        let seen5 = shelf.put(object("9"), from: .watch)
        #expect(seen5 == nil)
        let seen6 = shelf.remove(name, stamp("9"), from: .watch)
        #expect(seen6 == nil)
        let seen7 = shelf.put(object("12", uid: "u3"), from: .watch)
        #expect(seen7 != nil)
    }

    @Test func versionsThatAreNoNumbersCompareForEquality() {
        var shelf = Shelf()
        let seen8 = shelf.put(object("abc"), from: .watch)
        #expect(seen8 != nil)
        let seen9 = shelf.put(object("abc"), from: .watch)
        #expect(seen9 == nil)
        let seen10 = shelf.put(object("abb"), from: .watch)
        #expect(seen10 != nil)
    }

    @Test func lateAnswerDoesNotBringADeletedObjectBack() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        let seen11 = shelf.remove(name, stamp("7"), from: .watch)?.isGone
        #expect(seen11 == true)
        let seen12 = shelf.put(object("6"), from: .answer)
        #expect(seen12 == nil)
        let seen13 = shelf.put(object("8", uid: "u2"), from: .answer)
        #expect(seen13 != nil)
    }

    @Test func ownDeleteIsSeenAtOnceAndStays() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        let seen14 = shelf.bury(name, uid: "u1", serial: 1)?.isGone
        #expect(seen14 == true)
        let seen15 = shelf.bury(name, uid: "u1", serial: 2)
        #expect(seen15 == nil)
        let seen16 = shelf.put(object("6"), from: .watch)
        #expect(seen16 == nil)
        let seen17 = shelf.remove(name, stamp("7"), from: .watch)
        #expect(seen17 == nil)
        #expect(shelf.held.isEmpty)
        _ = shelf.put(object("8", uid: "u2"), from: .watch)
        #expect(version(shelf) == "8")
    }

    @Test func newerIncarnationEndsABurial() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        _ = shelf.bury(name, uid: "u1", serial: 1)
        let seen18 = shelf.put(object("9", uid: "u2"), from: .answer)?.present
        #expect(seen18 == stamp("9", uid: "u2"))
    }

    @Test func listKeepsLaterAnswersAndDropsTheRest() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        let seen19 = shelf.replace([], [], at: Version("6"), begunAt: 1)?.count
        #expect(seen19 == 1)
        #expect(shelf.isSynced)
        _ = shelf.put(object("9", uid: "u2"), from: .answer)
        let seen20 = shelf.replace([], [], at: Version("8"), begunAt: 2)
        #expect(seen20 == [])
        #expect(version(shelf) == "9")
        let seen21 = shelf.replace([], [], at: Version("7"), begunAt: 3)
        #expect(seen21 == nil)
    }

    @Test func listThatBeganAfterABurialKnowsBetter() {
        var shelf = Shelf()
        _ = shelf.put(object("5"), from: .watch)
        _ = shelf.bury(name, uid: "u1", serial: 4)
        let seen22 = shelf.replace([object("6")], [], at: Version("7"), begunAt: 3)
        #expect(seen22 == [])
        #expect(version(shelf) == nil)
        let seen23 = shelf.replace([object("6")], [], at: Version("8"), begunAt: 5)?.count
        #expect(seen23 == 1)
        #expect(version(shelf) == "6")
    }

    @Test func labelsAreIndexedOnceSomebodyAsks() {
        var shelf = Shelf()
        let pair = LabelPair("run", "1")
        _ = shelf.put(object("5", labels: ["run": "1"]), from: .watch)
        let seen24 = shelf.objects("a", pair)?.count
        #expect(seen24 == 1)
        let seen25 = shelf.objects("b", pair)?.count
        #expect(seen25 == 0)
        let change = shelf.put(object("6", labels: ["run": "2"]), from: .watch)
        #expect(change?.slots.map(\.pair.value) == ["1", "2"])
        let seen26 = shelf.objects("a", pair)?.count
        #expect(seen26 == 0)
        let seen27 = shelf.objects("a", LabelPair("run", "2"))?.count
        #expect(seen27 == 1)
    }

    @Test func unreadableIsNeitherStaleNorAbsent() {
        var shelf = Shelf()
        let pair = LabelPair("run", "1")
        _ = shelf.put(object("5", labels: ["run": "1"]), from: .watch)
        let seen28 = shelf.markUnreadable(broken("6"))?.isUnreadable
        #expect(seen28 == true)
        let seen29 = shelf.objects("a", pair)
        #expect(seen29 == nil)
        let seen30 = shelf.objects("a", LabelPair("run", "2"))?.count
        #expect(seen30 == 0)
        let seen31 = shelf.objects("b", pair)?.count
        #expect(seen31 == 0)
        #expect(shelf.unreadableCount == 1)
        let seen32 = shelf.put(object("5"), from: .answer)
        #expect(seen32 == nil)
        let seen33 = shelf.put(object("7"), from: .watch)?.isUnreadable
        #expect(seen33 == true)
        #expect(shelf.unreadableCount == 0)
    }

    @Test func unreadableOfUnknownLabelsMayBePartOfAnything() {
        var shelf = Shelf()
        _ = shelf.replace([], [broken("6")], at: Version("7"), begunAt: 0)
        let seen34 = shelf.objects("a", LabelPair("run", "1"))
        #expect(seen34 == nil)
        let seen35 = shelf.objects("b", LabelPair("run", "1"))?.count
        #expect(seen35 == 0)
    }

    @Test func strangersStayOutAndLeavers() {
        var shelf = Shelf(selector: LabelPair("by", "us"))
        let seen36 = shelf.put(object("5"), from: .answer)
        #expect(seen36 == nil)
        _ = shelf.put(object("6", labels: ["by": "us"]), from: .watch)
        let seen37 = shelf.put(object("7"), from: .answer)?.isGone
        #expect(seen37 == true)
        // The watch's word of it comes later, and changes nothing.
        let seen38 = shelf.remove(name, stamp("7"), from: .watch)
        #expect(seen38 == nil)
    }
}
