// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// What the contract image does with a volume and an archive, traps included, without a controller of ours.
@Suite struct WorldImageTests {
    private let stage = WorldStage()

    private func clone(_ variables: [String: String] = [:], quarantined: Bool = true) {
        stage.world.apply(WorldStage.manifest(quarantined: quarantined, variables: variables))
    }

    private func inherit(_ settings: [String: String]) {
        for index in stage.stores.archives[WorldStage.source]?.backups.indices ?? 0..<0 {
            stage.stores.archives[WorldStage.source]?.backups[index].settings = settings
        }
    }

    @Test func aVolumeThatIsNotEmptyServesOldDataWhateverIsAskedFor() {
        clone(["WALG_CLONE_TARGET_TIME": stage.moment(-1_000)])
        #expect(stage.wait { stage.isReady }, "\(stage.log)")
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2", "order 3"])
        stage.world.happen(.delete(WorldStage.set))
        #expect(stage.wait { stage.pods.isEmpty })
        clone()
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2", "order 3"], "latest was asked for")
        #expect(stage.deeds.contains("starts what is there"))
    }

    @Test func aTargetBeforeTheNewestBackupPromotesSilentlyWithWrongRows() {
        clone(["WALG_CLONE_TARGET_TIME": stage.moment(-60_000)])
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2"], "order 2 came after the target")
        #expect(stage.container?["restartCount"] == 0)
    }

    @Test func latestIsWhatIsNewestWhenItIsFetched() {
        clone()
        stage.world.happen(.newBackup(WorldStage.source), after: 500)
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.backupStartLSN == "0/7000028")
        #expect(stage.volume?.cluster?.rows.count == 5)
    }

    @Test func walThatArrivesMeanwhileIsReplayed() {
        clone()
        stage.world.happen(.newWAL(WorldStage.source), after: 20_000)
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.backupStartLSN == "0/5000028")
        #expect(stage.volume?.cluster?.rows.count == 5)
    }

    @Test func aTargetThatTheSourceWasLeftWithCutsARestoreToLatest() {
        inherit(["recovery_target_time": stage.moment(-1_000)])
        clone()
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2", "order 3"], "order 4 is missing without a word")
        #expect(stage.volume?.cluster?.endedAt.hasPrefix("before ") == true)
    }

    @Test func twoKindsOfTargetAreRefused() {
        inherit(["recovery_target_xid": "727"])
        clone(["WALG_CLONE_TARGET_TIME": stage.moment(-1_000)])
        #expect(stage.wait { stage.waiting == "CrashLoopBackOff" })
        #expect(stage.log.contains("multiple recovery targets specified"))
        #expect(stage.deeds.filter { $0.hasPrefix("fetches") }.count == 1, "the data is there: it is not fetched again")
    }

    @Test func anInheritedArchiveCommandWritesIntoTheSource() {
        inherit(["archive_command": "WALG_S3_PREFIX='s3://\(WorldStage.source)' wal-g wal-push %p"])
        clone(quarantined: false)
        #expect(stage.wait { stage.deeds.contains("serves") })
        #expect(!stage.stores.puts(below: "prod").isEmpty)
        #expect(stage.world.kubelet.violations.contains { $0.contains("which is not its own") })
        #expect(stage.world.kubelet.violations.contains { $0.contains("not sealed") })
    }

    @Test func aMissingSegmentIsTakenForTheArchivesEnd() {
        stage.world.happen(.loseSegment(WorldStage.source, 6))
        clone()
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2"])
        #expect(stage.volume?.cluster?.switchLSN == "0/6000000")
    }

    @Test func aMomentAfterTheGapIsNotReached() {
        stage.world.happen(.loseSegment(WorldStage.source, 6))
        clone(["WALG_CLONE_TARGET_TIME": stage.moment(-1_000)])
        #expect(stage.wait { stage.waiting == "CrashLoopBackOff" })
        #expect(stage.log.contains("recovery ended before configured recovery target was reached"))
        #expect(stage.volume?.staged != nil)
    }

    @Test func aStoreOutOfReachDuringReplayEndsItTooEarly() {
        clone()
        #expect(stage.wait { stage.deeds.contains("replays") })
        stage.world.happen(.bucketUnreachable("prod", seconds: 60))
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster?.rows == ["order 1", "order 2"], "as far as the backup is consistent")
    }

    @Test func aBackupDeletedDuringTheFetchLeavesAVolumeOfNoUse() {
        clone()
        #expect(stage.wait { stage.deeds.contains { $0.hasPrefix("fetches") } })
        stage.stores.removeBackup(from: WorldStage.source, named: "base_000000010000000000000005")
        #expect(stage.wait { stage.waiting == "CrashLoopBackOff" })
        #expect(stage.log.contains("restore-tmp already exists"), "\(stage.log)")
        // For ever, though there is another backup.
        stage.run(1_000)
        #expect(stage.volume?.cluster == nil && stage.volume?.leftOver == .restoreTmp)
    }

    @Test func withHotStandbyAPodIsReadyBeforeItIsPromoted() {
        stage.world.kubelet.replayDelay = 100_000
        stage.world.apply(
            WorldStage.manifest { manifest in
                var containers = manifest.items("spec", "template", "spec", "containers")
                containers[0].set(["args"], ["postgres", "-c", "listen_addresses="])
                manifest.set(["spec", "template", "spec", "containers"], .array(containers))
            })
        #expect(stage.wait { stage.isReady })
        #expect(stage.volume?.cluster == nil && stage.volume?.staged != nil)
    }

    @Test func aRecoveryThatIsInterruptedGoesOnWithoutAnotherFetch() {
        clone()
        #expect(stage.wait { stage.deeds.contains("replays") })
        stage.world.happen(.killContainer(WorldStage.pod))
        #expect(stage.wait { stage.isReady })
        #expect(stage.deeds.filter { $0.hasPrefix("fetches") }.count == 1)
        #expect(stage.deeds.filter { $0 == "replays" }.count == 2)
    }

    // MARK: Kubelet

    private func impatient(_ manifest: inout JSONValue) {
        var containers = manifest.items("spec", "template", "spec", "containers")
        containers[0].set(["startupProbe"], nil)
        containers[0].set(
            ["livenessProbe"],
            ["exec": ["command": ["pg_isready"]], "initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 2])
        manifest.set(["spec", "template", "spec", "containers"], .array(containers))
    }

    @Test func livenessKillsALongFetch() {
        stage.world.apply(WorldStage.manifest { impatient(&$0) })
        #expect(stage.wait { stage.waiting == "CrashLoopBackOff" })
        #expect(stage.deeds.contains("killed: failed liveness probe"))
        #expect(stage.volume?.leftOver == .restoreTmp && stage.volume?.cluster == nil)
        #expect(stage.log.contains("restore-tmp already exists"))
    }

    @Test func aFetchThatHeedsNoSignalWritesOnUntilItsGraceIsOver() {
        stage.world.kubelet.fetchIgnoresTermination = true
        clone()
        #expect(stage.wait { stage.deeds.contains { $0.hasPrefix("fetches") } })
        stage.world.happen(.deletePod(WorldStage.pod))
        stage.run(20)
        #expect(stage.volume?.writers.isEmpty == false && stage.pod != nil)
        #expect(
            stage.wait { stage.volume?.leftOver == .restoreTmp && stage.waiting == "CrashLoopBackOff" || stage.isReady }
        )
    }

    @Test func aHungServerIsStartedAgain() {
        stage.world.kubelet.fetchDelay = 400
        stage.world.kubelet.replayDelay = 400
        stage.world.apply(WorldStage.manifest { impatient(&$0) })
        #expect(stage.wait { stage.isReady })
        stage.world.happen(.hang(WorldStage.pod))
        #expect(!stage.isReady)
        #expect(stage.wait { stage.isReady && stage.container?["restartCount"] == 1 })
    }

    @Test func anEvictedPodIsReplacedAndItsFetchLeftOver() {
        clone()
        #expect(stage.wait { stage.deeds.contains { $0.hasPrefix("fetches") } })
        let uid = stage.pod?.text("metadata", "uid")
        stage.world.happen(.evict(WorldStage.pod))
        #expect(stage.pod?.text("status", "phase") == "Failed")
        #expect(stage.wait { stage.waiting == "CrashLoopBackOff" })
        #expect(stage.pod?.text("metadata", "uid") != uid)
        #expect(stage.log.contains("restore-tmp already exists"))
    }

    @Test func onALostNodeAPodStaysAndItsProcessGoesOn() {
        clone()
        #expect(stage.wait { stage.deeds.contains { $0.hasPrefix("fetches") } })
        let uid = stage.pod?.text("metadata", "uid")
        stage.world.happen(.loseNode("node-1", crashed: false, seconds: 1_000))
        stage.run(600)
        #expect(stage.pod?.text("metadata", "uid") == uid)
        #expect(stage.pod?[path: ["metadata", "deletionTimestamp"]] != nil, "it is Terminating and stays so")
        #expect(stage.volume?.cluster != nil, "and has promoted meanwhile")
        stage.run(420)
        #expect(stage.wait { stage.isReady && stage.pod?.text("metadata", "uid") != uid })
        #expect(stage.world.kubelet.violations.isEmpty)
    }

    @Test func aPodDeletedByForceOnALostNodeWritesBesideItsSuccessor() {
        clone()
        #expect(stage.wait { stage.isReady })
        stage.world.happen(.loseNode("node-1", crashed: false, seconds: 2_000))
        stage.run(10)
        stage.world.happen(.forceDeletePod(WorldStage.pod))
        #expect(stage.wait { stage.waiting == "ContainerCreating" })
        stage.run(60)
        #expect(stage.world.kubelet.violations.isEmpty, "the volume is still attached to the lost node")
        #expect(stage.wait { stage.isReady })
        #expect(stage.world.kubelet.violations.contains { $0.contains("writes to a volume") })
        #expect(stage.volume?.writers.count == 2)
        #expect(stage.wait(3_000) { stage.volume?.writers.count == 1 })
    }

    @Test func aNodeWithoutPowerStartsItsPodsAgain() {
        clone()
        #expect(stage.wait { stage.isReady })
        stage.world.happen(.loseNode("node-1", crashed: true, seconds: 100))
        #expect(stage.volume?.writers.isEmpty == true)
        stage.run(60)
        #expect(!stage.isReady)
        #expect(stage.wait { stage.isReady && stage.container?["restartCount"] == 1 })
    }

    @Test func twoPodsOfOneNodeHaveTheVolumeAtOnce() throws {
        clone()
        #expect(stage.wait { stage.isReady })
        stage.world.apply(
            WorldStage.job {
                $0.set(
                    ["spec", "template", "spec", "volumes"],
                    [["name": "data", "persistentVolumeClaim": ["claimName": "data-db-0"]]])
            })
        #expect(stage.wait { !stage.world.kubelet.violations.isEmpty })
        #expect(stage.world.kubelet.violations.contains { $0.contains("writes to a volume") })
    }
}
