// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Testing

@testable import ControlLoop

@Suite struct ElectionTests {
    private let wall = Timestamp(seconds: 600)

    private func record(
        _ holder: String, renewed: Int64 = 0, version: String = "1", transitions: Int = 3, duration: Int? = 15,
        uid: String = "u"
    ) -> LeaseRecord {
        LeaseRecord(
            Lease(
                metadata: ObjectMeta(name: "l", namespace: "n", uid: uid, resourceVersion: version),
                spec: Lease.Spec(
                    holderIdentity: holder, leaseDurationSeconds: duration, renewTime: Timestamp(seconds: renewed),
                    leaseTransitions: transitions)))
    }

    private func at(_ seconds: Int64) -> Uptime { Uptime(milliseconds: seconds * 1_000) }

    @Test func firstLookDecidesWithoutWaiting() {
        let cases: [(LeaseFact, Election.Step)] = [
            (.absent, .create(transitions: 120)),
            (.present(record("")), .claim(record(""), transitions: 4)),
            (.present(record("me")), .adopt(record("me"))),
            (.present(record("other")), .wait(holder: "other")),
        ]
        for (fact, step) in cases {
            var election = Election(identity: "me", times: ElectionTimes())
            let seen1 = election.step(on: fact, at: at(0), wall: wall)
            #expect(seen1 == step)
        }
    }

    /// Or what the one before wrote to the ledger would fence the next one off.
    @Test func aLeaseThatIsLostSoonAfterAChangeOfLeadersBeginsWithALaterEpoch() {
        var election = Election(identity: "me", times: ElectionTimes())
        guard case .create(let first) = election.step(on: .absent, at: at(0), wall: wall) else {
            return #expect(Bool(false), "it is not made")
        }
        // Somebody takes over when the lease of 15 s has run out, and a little later the Lease is deleted.
        let taken = first + 1
        let later = election.step(on: .absent, at: at(25), wall: Timestamp(seconds: 625))
        guard case .create(let second) = later else { return #expect(Bool(false), "it is not made again") }
        #expect(second > taken)
        #expect(second <= Int(Int32.max))
    }

    @Test func silentHolderIsOverAfterItsDurationByOurOwnClock() {
        var election = Election(identity: "me", times: ElectionTimes())
        // Its clock may say anything.
        let other = record("other", renewed: 9_999_999)
        let seen2 = election.step(on: .present(other), at: at(100), wall: wall)
        #expect(seen2 == .wait(holder: "other"))
        let seen3 = election.step(on: .present(other), at: at(115), wall: wall)
        #expect(seen3 == .wait(holder: "other"))
        let seen4 = election.step(on: .present(other), at: at(116), wall: wall)
        #expect(seen4 == .claim(other, transitions: 4))
    }

    @Test func everyRenewalBeginsTheWaitAnew() {
        var election = Election(identity: "me", times: ElectionTimes())
        _ = election.step(on: .present(record("other", renewed: 1)), at: at(0), wall: wall)
        _ = election.step(on: .present(record("other", renewed: 2, version: "2")), at: at(14), wall: wall)
        let same = record("other", renewed: 2, version: "2")
        let seen5 = election.step(on: .present(same), at: at(28), wall: wall)
        #expect(seen5 == .wait(holder: "other"))
        let seen6 = election.step(on: .present(same), at: at(30), wall: wall)
        #expect(seen6 == .claim(same, transitions: 4))
    }

    @Test func passersByAreNoSignOfLifeButTheirVersionIsUsed() {
        var election = Election(identity: "me", times: ElectionTimes())
        _ = election.step(on: .present(record("other", version: "1")), at: at(0), wall: wall)
        let labelled = record("other", version: "2")
        let seen7 = election.step(on: .present(labelled), at: at(16), wall: wall)
        #expect(seen7 == .claim(labelled, transitions: 4))
    }

    @Test func leaseMadeAnewIsLookedAtAnew() {
        var election = Election(identity: "me", times: ElectionTimes())
        _ = election.step(on: .present(record("other")), at: at(0), wall: wall)
        let anew = record("other", uid: "v")
        let seen8 = election.step(on: .present(anew), at: at(20), wall: wall)
        #expect(seen8 == .wait(holder: "other"))
    }

    @Test func holdersOwnDurationCounts() {
        var election = Election(identity: "me", times: ElectionTimes())
        let other = record("other", duration: 60)
        _ = election.step(on: .present(other), at: at(0), wall: wall)
        let seen9 = election.step(on: .present(other), at: at(59), wall: wall)
        #expect(seen9 == .wait(holder: "other"))
        let seen10 = election.step(on: .present(other), at: at(61), wall: wall)
        #expect(seen10 == .claim(other, transitions: 4))
    }

    @Test func holderFindsOutWhatBecameOfItsRenewal() {
        let tenure = Tenure(
            identity: "me", record: record("me", renewed: 1), sent: (renewTime: Timestamp(seconds: 7), at: at(50)))
        let cases: [(LeaseFact, Tenure.Finding)] = [
            (.absent, .lost("the Lease is gone")),
            (.present(record("me", uid: "v")), .lost("the Lease was made anew")),
            (.present(record("")), .lost("the Lease was released")),
            (.present(record("other")), .lost("other holds the Lease")),
            (.present(record("me", transitions: 5)), .lost("the Lease is of another term")),
            (.present(record("me", renewed: 7)), .ours(record("me", renewed: 7), renewedAt: at(50))),
            (
                .present(record("me", renewed: 1, version: "9")),
                .ours(record("me", renewed: 1, version: "9"), renewedAt: nil)
            ),
        ]
        for (fact, finding) in cases { #expect(tenure.finding(fact) == finding) }
    }
}
