// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// What the cluster's own controllers do, without one of ours.
@Suite struct WorldWorkloadTests {
    private func status(_ stage: WorldStage, _ field: String) -> JSONValue? {
        stage.api[WorldStage.set]?[path: ["status", field]]
    }

    @Test func aTemplateThatChangesReplacesTheReadyPod() throws {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest())
        #expect(stage.wait { stage.isReady }, "\(stage.log)")
        #expect(stage.wait { status(stage, "readyReplicas") == 1 })
        let first = try #require(status(stage, "currentRevision"))
        #expect(status(stage, "updateRevision") == first)
        let uid = stage.pod?.text("metadata", "uid")
        stage.world.happen(.edit(WorldStage.set, .setVariable("MORE", "1")))
        #expect(stage.wait { status(stage, "updateRevision") != first })
        #expect(status(stage, "currentRevision") == first, "the rollout is not over")
        #expect(stage.wait { stage.isReady && stage.pod?.text("metadata", "uid") != uid })
        #expect(stage.wait { status(stage, "currentRevision") != first })
        // What says the same is not written again.
        let revision = stage.api.revision
        stage.run(300)
        #expect(stage.api.revision == revision)
    }

    @Test(arguments: ["OrderedReady", "Parallel"])
    func aPodThatNeverBecomesReadyKeepsItsReplacementAway(policy: String) throws {
        let stage = WorldStage()
        stage.world.apply(
            WorldStage.manifest {
                $0.set(["spec", "podManagementPolicy"], .string(policy))
                $0.set(["metadata", "name"], "db")
            })
        stage.world.happen(.imageGone(Story.image, seconds: 10_000))
        stage.run(60)
        #expect(["ErrImagePull", "ImagePullBackOff"].contains(stage.waiting))
        let uid = stage.pod?.text("metadata", "uid")
        stage.world.apply(
            WorldStage.manifest { manifest in
                manifest.set(["spec", "podManagementPolicy"], .string(policy))
                var containers = manifest.items("spec", "template", "spec", "containers")
                containers[0].set(["image"], .string(Story.image + "-other-backup"))
                manifest.set(["spec", "template", "spec", "containers"], .array(containers))
            })
        stage.run(120)
        #expect((stage.pod?.text("metadata", "uid") == uid) == (policy == "OrderedReady"))
        if policy == "OrderedReady" { stage.world.happen(.deletePod(WorldStage.pod)) }
        #expect(stage.wait { stage.isReady }, "somebody has to delete the pod")
    }

    @Test func replicasComeAndGoAndTheirClaimsStay() {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest { $0.set(["spec", "replicas"], 3) })
        #expect(stage.wait { status(stage, "readyReplicas") == 3 })
        stage.world.happen(.edit(WorldStage.set, .scale(0)))
        #expect(stage.wait { stage.pods.isEmpty })
        #expect(stage.wait { status(stage, "replicas") == 0 })
        let claims = stage.api.all(.claims, in: WorldStage.space)
        #expect(claims.map(\.key.name) == ["data-db-0", "data-db-1", "data-db-2"])
        #expect(claims.allSatisfy { $0.object[path: ["metadata", "ownerReferences"]] == nil })
    }

    @Test func aForeignPodOfTheNameBlocks() throws {
        let stage = WorldStage()
        _ = try stage.api.create(WorldStage.pod, ["metadata": ["name": "db-0"], "spec": [:]])
        stage.world.apply(WorldStage.manifest())
        stage.run(60)
        #expect(status(stage, "replicas") == 0)
        #expect(stage.api.all(.events, in: WorldStage.space).contains { $0.object["reason"] == "FailedCreate" })
        stage.world.happen(.deletePod(WorldStage.pod))
        #expect(stage.wait { stage.isReady })
    }

    @Test func aPodWithoutItsLabelsIsGivenUpAndStandsInTheWay() {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest())
        #expect(stage.wait { stage.isReady })
        stage.world.happen(.edit(WorldStage.pod, .removeLabel("app")))
        stage.run(30)
        #expect(stage.pod?[path: ["metadata", "ownerReferences"]] == nil)
        #expect(status(stage, "replicas") == 0 && stage.isReady)
        // With the label back it is adopted, not replaced.
        let uid = stage.pod?.text("metadata", "uid")
        stage.api.change(WorldStage.pod) { $0.set(["metadata", "labels", "app"], "db") }
        stage.run(30)
        #expect(stage.pod?.items("metadata", "ownerReferences").count == 1)
        #expect(stage.pod?.text("metadata", "uid") == uid)
    }

    @Test func noPodIsMadeWhileItsClaimIsOnItsWayOut() {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest())
        #expect(stage.wait { stage.isReady })
        let claim = stage.api[WorldStage.claim]?.text("metadata", "uid") ?? ""
        stage.world.happen(.delete(WorldStage.claim))
        stage.run(30)
        #expect(stage.isReady && stage.api[WorldStage.claim] != nil, "a claim in use stays")
        stage.world.happen(.deletePod(WorldStage.pod))
        #expect(stage.wait { stage.isReady && stage.api[WorldStage.claim]?.text("metadata", "uid") != claim })
        #expect(stage.world.kubelet.volumes[claim]?.isEmpty == true, "the content went with the claim")
    }

    // MARK: Jobs

    private static let job = ModelKey(.jobs, WorldStage.space, "x-scan-1")

    private func conditions(_ stage: WorldStage) -> [String] {
        stage.api[Self.job]?.items("status", "conditions").compactMap { $0.text("type") } ?? []
    }

    @Test func aDeletedPodOfAJobHasASuccessorBesideIt() {
        let stage = WorldStage()
        stage.world.kubelet.terminationDelay = 20_000
        stage.world.apply(WorldStage.job())
        #expect(stage.wait { stage.pods.first?.text("status", "phase") == "Running" })
        let key = ModelKey(.pods, WorldStage.space, stage.pods.first?.text("metadata", "name") ?? "")
        stage.world.happen(.deletePod(key))
        #expect(stage.wait { stage.pods.filter { $0.text("status", "phase") == "Running" }.count == 2 })
        #expect(stage.wait { conditions(stage) == ["Complete"] })
    }

    @Test func aLaterKubernetesCountsADeletedPodAsFailed() {
        let stage = WorldStage()
        stage.world.cluster.minor = 31
        stage.world.apply(WorldStage.job())
        #expect(stage.wait { stage.pods.first?.text("status", "phase") == "Running" })
        let key = ModelKey(.pods, WorldStage.space, stage.pods.first?.text("metadata", "name") ?? "")
        stage.world.happen(.deletePod(key))
        #expect(stage.wait { !conditions(stage).isEmpty })
        #expect(conditions(stage) == ["FailureTarget"], "it has not ended while its pod has not")
        #expect(stage.wait { conditions(stage) == ["FailureTarget", "Failed"] })
        #expect(stage.api.history.filter { $0.key.kind == .pods && $0.kind == .added }.count == 1)
    }

    @Test func aJobsOwnDeadlineTakesThePodAndItsLog() {
        let stage = WorldStage()
        stage.world.kubelet.jobDelay = 60_000
        stage.world.apply(WorldStage.job { $0.set(["spec", "activeDeadlineSeconds"], 10) })
        #expect(stage.wait { conditions(stage) == ["Failed"] })
        #expect(stage.api[Self.job]?.items("status", "conditions").first?["reason"] == "DeadlineExceeded")
        #expect(stage.wait { stage.pods.isEmpty })
    }

    @Test func aFailedPodIsKeptUntilTheJobGoes() {
        let stage = WorldStage()
        stage.world.kubelet.jobDelay = 60_000
        stage.world.apply(WorldStage.job { $0.set(["spec", "ttlSecondsAfterFinished"], 100) })
        #expect(stage.wait { stage.pods.first?.text("status", "phase") == "Running" })
        let key = ModelKey(.pods, WorldStage.space, stage.pods.first?.text("metadata", "name") ?? "")
        stage.world.happen(.evict(key))
        #expect(stage.wait { conditions(stage) == ["Failed"] })
        #expect(stage.pods.first?.text("status", "reason") == "Evicted")
        stage.run(120)
        #expect(stage.api[Self.job] == nil && stage.pods.isEmpty)
    }

    @Test func aQuotaIsToldInItsOwnWords() {
        let stage = WorldStage()
        stage.world.happen(.podsRefused(WorldStage.space, seconds: 60))
        stage.world.apply(WorldStage.job())
        stage.run(30)
        let events = stage.api.all(.events, in: WorldStage.space).compactMap { $0.object.text("message") }
        #expect(events.count == 1 && events.first?.contains("exceeded quota") == true)
        #expect(stage.wait { conditions(stage) == ["Complete"] })
    }

    // MARK: Garbage

    @Test func whatComesAfterItsOwnerWentIsCollected() throws {
        let stage = WorldStage()
        func child(_ name: String, _ owners: [String]) throws -> ModelKey {
            let key = ModelKey(.configMaps, WorldStage.space, name)
            let references = owners.map { uid -> JSONValue in
                ["apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": .string(uid)]
            }
            _ = try stage.api.create(
                key, ["metadata": ["name": .string(name), "ownerReferences": .array(references)]])
            return key
        }
        let owner = try child("owner", [])
        let other = try child("other", [])
        let uid = stage.api[owner]?.text("metadata", "uid") ?? ""
        let living = stage.api[other]?.text("metadata", "uid") ?? ""
        let only = try child("only", [uid])
        let both = try child("both", [uid, living])
        stage.world.happen(.recreate(owner))
        stage.run(10)
        #expect(stage.api[owner] != nil && stage.api[owner]?.text("metadata", "uid") != uid)
        #expect(stage.api[only] == nil, "the new owner of that name is another one")
        #expect(stage.api[both]?.items("metadata", "ownerReferences").count == 1)
        let late = try child("late", [uid])
        stage.run(10)
        #expect(stage.api[late] == nil)
    }
}
