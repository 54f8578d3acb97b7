// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// From what a repository finds to an object for each of the newest backups, and what becomes of those.
@Suite("Backups that were found")
struct ServiceBackupTests {
    static func newest(_ limit: Int? = nil) -> (inout BackupRepositorySpec) -> Void {
        { $0.discovery = DiscoveryPolicy(createBackups: "Newest", limit: limit) }
    }

    static func names(_ listing: ArchiveListing, _ world: RepositoryWorld) -> [String] {
        DiscoveredBackups.wanted(listing, path: "orders", of: world.repository).compactMap {
            $0.spec.discovered?.name
        }
    }

    // MARK: What a repository makes

    @Test("a repository that does not ask for any makes none, and takes away what it had made")
    func none() throws {
        var world = RepositoryWorld.scanned([RepositoryWorld.listing(backups: 3)])
        #expect(world.backups.isEmpty)
        world = RepositoryWorld.scanned([RepositoryWorld.listing(backups: 3)], Self.newest())
        #expect(world.backups.count == 3)
        world.repository.spec?.discovery = DiscoveryPolicy(createBackups: "None")
        world.repository.metadata.generation = 2
        _ = world.settle()
        world.finish(2, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]))
        _ = world.settle()
        #expect(world.backups.isEmpty)
    }

    @Test("the newest ones that can be used, as many as the policy says, for each archive")
    func newestOfEach() throws {
        let orders = RepositoryWorld.listing(backups: 4)
        var billing = RepositoryWorld.listing("prod/billing", backups: 2)
        billing.backups[1].problem = "no pg_control"
        let world = RepositoryWorld.scanned([orders, billing], Self.newest(2))
        let found = world.backups.compactMap(\.spec?.discovered)
        #expect(
            Set(found.map { "\($0.path ?? "")/\($0.major ?? 0)/\($0.name ?? "")" }) == [
                "orders/15/\(orders.backups[3].name)", "orders/15/\(orders.backups[2].name)",
                "billing/15/\(billing.backups[0].name)",
            ])
        #expect(world.condition("Ready") == "True Scanned")
        let limits: [(Int?, Int)] = [(nil, 20), (1, 1), (1_000, 30)]
        for (limit, count) in limits {
            let other = RepositoryWorld(Self.newest(limit))
            #expect(Self.names(RepositoryWorld.listing(backups: 30), other).count == count)
        }
        #expect(Self.names(RepositoryWorld.listing(backups: 30), RepositoryWorld()).isEmpty)
    }

    @Test("its name follows from what it is, it belongs to the repository, and deleting it deletes nothing in a store")
    func manifest() throws {
        let world = RepositoryWorld(Self.newest())
        let listing = RepositoryWorld.listing()
        let made = try #require(DiscoveredBackups.wanted(listing, path: "orders", of: world.repository).first)
        #expect(
            made.metadata.name
                == DiscoveredBackups.name(
                    repository: "prod", path: "orders", major: 15, backup: listing.backups[0].name))
        #expect(made.metadata.name.hasPrefix("prod-backup-") && Names.isDNS1123Label(made.metadata.name))
        #expect(made.metadata.ownerReferences.map(\.uid) == [RepositoryWorld.uid])
        #expect(made.spec.deletionPolicy == nil && made.spec.service == nil)
        let others = [("prod", "orders", 16), ("prod", "order", 15), ("prod2", "orders", 15)].map {
            DiscoveredBackups.name(repository: $0.0, path: $0.1, major: $0.2, backup: listing.backups[0].name)
        }
        #expect(Set(others + [made.metadata.name]).count == 4)
    }

    @Test("what no spec could name is left out: the prefix itself, and paths and names made to mislead")
    func hostile() {
        let world = RepositoryWorld(Self.newest())
        for path in [".", "..", "../up", "-rf", "a//b", "orders/15", "a b", String(repeating: "x", count: 600)] {
            #expect(DiscoveredBackups.wanted(RepositoryWorld.listing(), path: path, of: world.repository).isEmpty)
        }
        var listing = RepositoryWorld.listing()
        listing.backups[0].name += "_x"
        #expect(DiscoveredBackups.wanted(listing, path: "orders", of: world.repository).isEmpty)
    }

    @Test("with another base backup one object comes and the oldest goes; nothing new writes nothing")
    func rolls() throws {
        var world = RepositoryWorld.scanned([RepositoryWorld.listing(backups: 2)], Self.newest(2))
        let before = Set(world.backups.map(\.metadata.name))
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(2, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]))
        let quiet = world.settle().compactMap(\.child)
        #expect(!quiet.contains { $0.ref.kind == ServiceBackup.resourceKind })
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(3, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing(backups: 3))]))
        let effects = world.settle()
        #expect(effects.compactMap(\.child).filter { $0.ref.kind == ServiceBackup.resourceKind }.count == 1)
        let after = Set(world.backups.map(\.metadata.name))
        #expect(after.count == 2 && before.intersection(after).count == 1)
    }

    @Test("one whose backup is gone is not taken away with the scan: it is to say so first")
    func keepsTheGone() throws {
        var world = RepositoryWorld.scanned([RepositoryWorld.listing(backups: 2)], Self.newest())
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        var left = RepositoryWorld.listing(backups: 2)
        left.backups.removeFirst()
        left.backupsTotal = 1
        world.finish(2, RepositoryWorld.result([RepositoryWorld.archive(left)]))
        _ = world.settle()
        #expect(world.backups.count == 2)
    }

    @Test("somebody else's object under such a name stays, and holds up nothing")
    func strangers() throws {
        var world = RepositoryWorld(Self.newest())
        _ = world.settle()
        let listing = RepositoryWorld.listing()
        let name = DiscoveredBackups.name(
            repository: "prod", path: "orders", major: 15, backup: listing.backups[0].name)
        let theirs = ServiceBackup(
            metadata: ObjectMeta(name: name, namespace: "staging", uid: "theirs", resourceVersion: "1"))
        world.reader.add(theirs)
        world.finish(1, RepositoryWorld.result([RepositoryWorld.archive(listing)], isFull: true))
        _ = world.settle()
        #expect(world.backups == [theirs])
        #expect(world.condition("Ready") == "True Scanned")
    }

    @Test("a server that takes no ServiceBackup does not keep the catalog from being published")
    func refusedByTheServer() throws {
        var world = RepositoryWorld(Self.newest())
        _ = world.settle()
        world.finish(1, RepositoryWorld.result([RepositoryWorld.archive(RepositoryWorld.listing())], isFull: true))
        let first = world.decide()
        for effect in first.effects where effect.child?.ref.kind == ConfigMap.resourceKind { world.carryOut(effect) }
        world.reader.failure = Failure(
            effect: "create ServiceBackup staging/prod-backup-1", reason: "Forbidden", message: "no rights",
            disposition: .terminal, count: 2, since: Story.now)
        #expect(world.decide().effects.compactMap(\.child).map(\.ref.kind) == [ServiceBackup.resourceKind])
        world.reader.failure?.count = 3
        _ = world.settle()
        #expect(world.backups.isEmpty)
        #expect(world.condition("Ready") == "True Scanned")
        #expect(world.repository.status?.conditions?.condition("Ready")?.message.contains("no rights") == true)
    }

    // MARK: What an object says

    /// A repository that was scanned with two backups, and the object of the older one.
    private func told() throws -> (world: RepositoryWorld, backup: ServiceBackup) {
        let world = RepositoryWorld.scanned([RepositoryWorld.listing(backups: 2)], Self.newest())
        let oldest = RepositoryWorld.listing(backups: 2).backups[0].name
        return (world, try #require(world.backups.first { $0.spec?.discovered?.name == oldest }))
    }

    private func look(
        _ backup: ServiceBackup, _ world: RepositoryWorld, at now: Timestamp? = nil
    ) -> Decision<ServiceBackupStatus> {
        var reader = world.reader
        reader.add(world.repository)
        return ServiceBackupBehavior.decide(
            ServiceBackupBehavior.observe(backup, through: &reader), at: now ?? world.now)
    }

    private func scan(_ sequence: Int64, _ listings: [ArchiveListing], _ world: inout RepositoryWorld) {
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(sequence, RepositoryWorld.result(listings.map(RepositoryWorld.archive)))
        _ = world.settle()
    }

    @Test("a backup that can be restored says where it is, from when, and how large")
    func ready() throws {
        let (world, backup) = try told()
        let status = try #require(look(backup, world).status)
        let listed = RepositoryWorld.listing(backups: 2).backups[0]
        #expect(status.state?.known == .ready)
        #expect(status.conditions?.condition("Ready")?.reason == "Restorable")
        #expect(status.location == "s3://backups/prod/orders/15/basebackups_005/\(listed.name)")
        #expect(status.format == "walg" && status.checksum == nil)
        #expect(status.finishTime == listed.finishTime && status.startLSN == listed.startLSN)
        #expect(status.systemIdentifier == Story.systemIdentifier)
        #expect(status.catalog == world.lines.first?.backupsDigest && status.catalog != nil)
    }

    @Test("the log that grows is no news for it: nothing is read again and nothing written")
    func quiet() throws {
        var (world, backup) = try told()
        backup.status = look(backup, world).status
        var longer = RepositoryWorld.listing(backups: 2)
        longer.ranges[0].last = "000000010000000000000020"
        scan(2, [longer], &world)
        #expect(world.lines.first?.backupsDigest == backup.status?.catalog)
        var reader = world.reader
        reader.add(world.repository)
        reader.reads = 0
        let snapshot = ServiceBackupBehavior.observe(backup, through: &reader)
        #expect(snapshot.catalog == nil && reader.reads == 1)
        let decision = ServiceBackupBehavior.decide(snapshot, at: world.now)
        #expect(decision.status == backup.status)
        #expect(decision.effects.isEmpty)
    }

    @Test("one that is gone says so, keeps what was known, and goes after a day")
    func expires() throws {
        var (world, backup) = try told()
        backup.status = look(backup, world).status
        let location = backup.status?.location
        var left = RepositoryWorld.listing(backups: 2)
        left.backups.removeFirst()
        left.backupsTotal = 1
        scan(2, [left], &world)
        let marked = look(backup, world)
        #expect(marked.effects.isEmpty, "in a pass of its own")
        backup.status = marked.status
        #expect(backup.status?.state?.known == .failed)
        #expect(backup.status?.conditions?.condition("Ready")?.reason == "SourceExpired")
        #expect(backup.status?.expiredAt == world.now && backup.status?.location == location)
        let later = look(backup, world, at: world.now.adding(seconds: 3_600))
        #expect(later.effects.isEmpty)
        #expect(later.wake == .at(world.now.adding(seconds: 86_400)))
        #expect(
            look(backup, world, at: world.now.adding(seconds: 86_400)).effects == [.delete(backup.seen)])
        var byHand = backup
        byHand.metadata.ownerReferences = nil
        #expect(look(byHand, world, at: world.now.adding(seconds: 864_000)).effects.isEmpty, "people's own stay")
        // Retention was turned back: it is there again.
        scan(3, [RepositoryWorld.listing(backups: 2)], &world)
        let again = try #require(look(backup, world).status)
        #expect(again.state?.known == .ready && again.expiredAt == nil)
    }

    @Test("the whole archive is gone, or only not shown: the first is said of the backup, the second is not")
    func archiveGone() throws {
        var (world, backup) = try told()
        backup.status = look(backup, world).status
        var hidden = world
        scan(2, [], &world)
        #expect(look(backup, world).status?.conditions?.condition("Ready")?.reason == "SourceExpired")
        hidden.now = hidden.now.adding(seconds: 300)
        _ = hidden.settle()
        hidden.finish(2, RepositoryWorld.result([], total: 1))
        _ = hidden.settle()
        let status = try #require(look(backup, hidden).status)
        #expect(status.conditions?.condition("Ready")?.reason == "ArchiveNotListed")
        #expect(status.state?.known == .ready && status.expiredAt == nil)
    }

    @Test("a store that can't be reached, and a repository that is not there, say nothing of the backup")
    func silence() throws {
        var (world, backup) = try told()
        backup.status = look(backup, world).status
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.finish(2, .repositoryScan(RepositoryScanResult(attempt: "", code: "Unreachable")))
        _ = world.settle()
        #expect(world.condition("Ready") == "False Unreachable")
        #expect(look(backup, world).status == backup.status)
        var nowhere = FakeReader()
        let lost = ServiceBackupBehavior.decide(
            ServiceBackupBehavior.observe(backup, through: &nowhere), at: world.now)
        #expect(lost.status?.conditions?.condition("Ready")?.status == "Unknown")
        #expect(lost.status?.state?.known == .ready)
        #expect(lost.effects.isEmpty)
        // It comes back, with the same backups: what is unknown is looked at again.
        var back = backup
        back.status = lost.status
        #expect(look(back, world).status?.conditions?.isTrue("Ready") == true)
    }

    @Test("what somebody else has put under the catalog's name is not believed")
    func otherCatalog() throws {
        let (world, backup) = try told()
        for change in [0, 1] {
            var other = world
            let name = try #require(other.configMaps.first)
            let ref = Ref(ConfigMap.resourceKind, "staging", name)
            var map = try #require(other.reader.objects[ref] as? ConfigMap)
            if change == 0 {
                map.metadata.ownerReferences = nil
            } else {
                let manifest = PublishedCatalog.manifest(
                    RepositoryWorld.listing("prod/billing"), path: "billing", of: other.repository)
                map.data = manifest.data
                map.metadata.annotations = manifest.metadata.annotations
            }
            other.reader.add(map)
            #expect(look(backup, other).status?.conditions?.condition("Ready")?.reason == "CatalogPending")
        }
    }

    @Test("what was asked for and not found is not available yet, and a bad spec is refused")
    func others() throws {
        let (world, backup) = try told()
        var asked = backup
        asked.spec = ServiceBackupSpec(discovered: nil)
        asked.spec?.service = NameReference(name: "orders-db")
        #expect(look(asked, world).status?.conditions?.condition("Stalled")?.reason == "UnsupportedMode")
        asked.spec = ServiceBackupSpec(discovered: nil)
        #expect(look(asked, world).status?.conditions?.condition("Stalled")?.reason == "InvalidSpec")
    }
}
