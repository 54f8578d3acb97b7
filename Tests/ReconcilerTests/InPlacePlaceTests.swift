// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// The archive that was planned for is not there any more, or is another one, when the run wants to read it.
@Suite("A run in place whose archive goes away")
struct InPlacePlaceTests {
    struct Change: Sendable, CustomTestStringConvertible {
        /// What a run says that has stopped the service already.
        var reason: String
        var words: String
        var isGone = false
        var make: @Sendable (inout InPlaceWorld) -> Void
        var testDescription: String { words }
    }

    static let changes = [
        Change(reason: "RepositoryChanged", words: "leads to https://s3.example.com s3://backups/elsewhere/invoices") {
            $0.reader.add(Story.repository("prod", prefix: "elsewhere"))
        },
        Change(reason: "RepositoryChanged", words: "leads to https://s3.example.com s3://backups/prod/others") {
            var other = InPlaceWorld.invoices
            other.spec?.archive?.path = "others"
            $0.reader.add(other)
        },
        Change(reason: "RepositoryChanged", words: "ManagedService names no archive") {
            var other = InPlaceWorld.invoices
            other.spec?.archive = nil
            $0.reader.add(other)
        },
        Change(reason: "ImageNotAllowed", words: "may not run with the credentials of BackupRepository prod") {
            $0.reader.add(Story.repository("prod", prefix: "prod", allowed: ["registry.example.com/other"]))
        },
        Change(reason: "CredentialsMissing", words: "spec.credentials.secretName") {
            var service = InPlaceWorld.service
            service.spec?.credentials = nil
            $0.reader.add(service)
        },
        Change(
            reason: "RepositoryNotFound", words: "BackupRepository prod does not exist in namespace staging",
            isGone: true
        ) {
            $0.reader.objects[repository] = nil
        },
        Change(
            reason: "ServiceNotFound", words: "ManagedService invoices does not exist in namespace staging",
            isGone: true
        ) {
            $0.reader.objects[InPlaceWorld.invoices.ref] = nil
        },
    ]

    private static let repository = Ref(BackupRepository.resourceKind, "staging", "prod")

    private static func planned() -> InPlaceWorld {
        var world = InPlaceWorld {
            $0.source = RestoreSource(service: .init(name: "invoices"))
            $0.confirmCrossService = true
        }
        world.reader.add(InPlaceWorld.invoices)
        world.settle()
        return world
    }

    private static func approved() -> InPlaceWorld {
        var world = planned()
        world.approve()
        return world
    }

    private static func isUntouched(_ world: InPlaceWorld) -> Bool {
        !world.deeds.contains { $0.hasPrefix("scale") } && !world.isLocked && world.workload?.replicas == 1
    }

    @Test("what changes while it waits for its approval ends it, before anything is held", arguments: changes)
    func beforeApproval(_ change: Change) {
        var world = Self.planned()
        change.make(&world)
        world.settle()
        if !change.isGone {
            #expect(world.state == .failed && world.reason == "PlanOutdated", "\(world.run.status?.message ?? "")")
            #expect(world.run.status?.message?.contains(change.words) == true, "\(world.run.status?.message ?? "")")
        } else {
            #expect(world.condition(RunCondition.approved)?.reason == "ApprovalRequired", "nobody is asked in vain")
            world.approve()
            world.settle()
            #expect(world.state == .pending)
            #expect(world.condition(RunCondition.stalled)?.reason == change.reason)
            #expect(world.run.status?.message?.contains(change.words) == true, "\(world.run.status?.message ?? "")")
        }
        #expect(!world.deeds.contains("lock"))
        #expect(Self.isUntouched(world))
    }

    @Test("what comes back as it was lets it go on")
    func comesBack() {
        for change in Self.changes where change.isGone {
            var world = Self.approved()
            change.make(&world)
            world.settle()
            #expect(world.state == .pending)
            world.reader.add(Story.repository("prod", prefix: "prod"))
            world.reader.add(InPlaceWorld.invoices)
            world.settle()
            #expect(world.state == .completed)
        }
    }

    @Test("under the lock nothing is waited for: it is given back", arguments: changes)
    func underTheLock(_ change: Change) {
        var world = Self.approved()
        world.results[.recheck] = nil
        world.settle()
        #expect(world.isLocked && world.deeds.contains("create Job recheck-1"))
        change.make(&world)
        world.settle()
        #expect(world.state == .failed)
        #expect(world.reason == (change.isGone ? change.reason : "PlanOutdated"))
        #expect(world.run.status?.message?.contains(change.words) == true, "\(world.run.status?.message ?? "")")
        #expect(Self.isUntouched(world))
    }

    @Test("what is noticed before the service is scaled down leaves it as it is", arguments: changes)
    func beforeTheStop(_ change: Change) {
        var world = Self.approved()
        world.settle { $0.state == .running }
        change.make(&world)
        world.settle()
        #expect(world.state == .failed && world.reason == change.reason, "\(world.run.status?.message ?? "")")
        #expect(Self.isUntouched(world))
    }

    @Test("after it the old data is served again at once, not when a deadline is over", arguments: changes)
    func afterTheStop(_ change: Change) {
        for step in ["scale to 0", "create ConfigMap permit-replace"] {
            var world = Self.approved()
            world.settle { $0.deeds.contains(step) }
            change.make(&world)
            world.settle()
            #expect(world.state == .failed && world.reason == change.reason, "\(world.run.status?.message ?? "")")
            #expect(world.run.status?.message?.contains(change.words) == true, "\(world.run.status?.message ?? "")")
            #expect(!world.deeds.contains("create Job replace-1"))
            #expect(world.workload?.replicas == 1)
            #expect(!world.isLocked)
        }
    }

    @Test("what goes because its namespace is deleted is no failure of the run", arguments: changes.filter(\.isGone))
    func withItsNamespace(_ change: Change) {
        for step in ["lock", "scale to 0", "create ConfigMap permit-replace"] {
            var world = Self.approved()
            if step == "lock" {
                world.settle { $0.state == .running }
            } else {
                world.settle { $0.deeds.contains(step) }
            }
            var space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
            space.metadata.deletionTimestamp = world.now
            world.reader.add(space)
            change.make(&world)
            world.settle()
            #expect((world.state, world.reason) == (.interrupted, "NamespaceDeleted"), "\(step)")
        }
    }

    @Test("a Job that is at work has what it needs: nothing is looked up any more")
    func atWork() {
        for change in Self.changes {
            var world = Self.approved()
            world.results[.replace] = nil
            world.settle { $0.deeds.contains("create Job replace-1") }
            change.make(&world)
            world.settle()
            #expect(world.state == .running, "\(change.words)")
            world.reader.finish(.replace, .replace(InPlaceWorld.replaced()), ordinal: 1, names: InPlaceWorld.scope)
            world.settle()
            #expect(world.state == .completed, "\(change.words)")
        }
    }

    @Test("a ManagedService that is edited under the lock ends it; one that goes after the stop is waited for")
    func ownService() {
        var service = InPlaceWorld.service
        service.spec?.claim = "other"
        var edited = Self.approved()
        edited.settle { $0.state == .pending && $0.deeds.contains("create Job recheck-1") }
        edited.reader.add(service)
        edited.settle()
        #expect(edited.state == .failed && edited.reason == "PlanOutdated")
        #expect(Self.isUntouched(edited))
        // Without it the old data can't be put back either.
        var stopped = Self.approved()
        stopped.settle { $0.deeds.contains("create ConfigMap permit-replace") }
        stopped.reader.objects[InPlaceWorld.service.ref] = nil
        stopped.settle()
        #expect(stopped.state == .running)
        #expect(stopped.condition(RunCondition.stalled)?.reason == "WorkplaceMissing")
        stopped.reader.add(InPlaceWorld.service)
        stopped.settle()
        #expect(stopped.state == .completed)
    }

    // MARK: The base backup

    struct Published: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isExpired = false
        var isOurs = true
        var change: @Sendable (inout ArchiveListing) -> Void
    }

    private static func forget(_ listing: inout ArchiveListing) {
        listing.backups = []
        listing.backupsTotal = 0
        listing.seenAt = Story.now.adding(seconds: 60)
    }

    static let published = [
        Published(testDescription: "gone since the plan", isExpired: true) { listing in forget(&listing) },
        Published(testDescription: "there") { listing in listing.seenAt = Story.now.adding(seconds: 60) },
        Published(testDescription: "a listing from before the plan") { listing in
            forget(&listing)
            listing.seenAt = Story.now
        },
        Published(testDescription: "a listing that has not room for all") { listing in
            forget(&listing)
            listing.backupsTotal = 1
        },
        Published(testDescription: "somebody else's ConfigMap", isOurs: false) { listing in forget(&listing) },
    ]

    @Test("a service is not stopped for a base backup that the repository has seen to be gone", arguments: published)
    func expired(_ published: Published) throws {
        var world = InPlaceTests.approved()
        var listing = Story.listing
        published.change(&listing)
        let repository = Story.repository("prod", prefix: "prod")
        let manifest = PublishedCatalog.manifest(listing, path: "orders", of: repository)
        var map = ConfigMap(
            metadata: ObjectMeta(
                name: manifest.metadata.name, namespace: "staging", uid: "c", labels: manifest.metadata.labels,
                annotations: manifest.metadata.annotations), data: manifest.data)
        let owner = published.isOurs ? "r-prod" : "other"
        map.metadata.ownerReferences = [
            OwnerReference(apiVersion: "reprise.dev/v1alpha1", kind: "BackupRepository", name: "prod", uid: owner)
        ]
        world.reader.add(map)
        world.settle()
        guard published.isExpired else {
            #expect(world.state == .completed)
            return
        }
        #expect(world.state == .failed && world.reason == "SourceExpired")
        #expect(world.run.status?.message?.contains("is not in the archive any more") == true)
        #expect(world.deeds.contains("create Job recheck-1"))
        #expect(!world.deeds.contains { $0.hasPrefix("scale") } && world.workload?.replicas == 1)
        #expect(!world.isLocked)
    }
}
