// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

@Suite("Published catalogs")
struct PublishedCatalogTests {
    @Test(
        "names are those of objects and labels, and different for different archives",
        arguments: ["prod", "a.b-c", String(repeating: "x", count: 39) + ".tail", String(repeating: "y", count: 200)])
    func names(_ repository: String) {
        let all = [("orders", 15), ("orders", 16), ("orders1", 5)].map { path, major in
            PublishedCatalog.configMapName(repository: repository, path: path, major: major)
        }
        #expect(Set(all).count == 3)
        for name in all { #expect(Names.isDNS1123Subdomain(name) && name.count <= 57) }
        #expect(Names.isLabelValue(PublishedCatalog.label(repository: repository)))
        #expect(
            PublishedCatalog.configMapName(repository: repository, path: "orders", major: 15)
                != PublishedCatalog.configMapName(repository: repository + "2", path: "orders", major: 15))
    }

    @Test("a listing that is too large loses its oldest part, and is what its digest says")
    func large() throws {
        var listing = RepositoryWorld.listing(backups: ArchiveListing.backupLimit)
        listing.backups.sort { $0.lastModified > $1.lastModified }
        for index in listing.backups.indices {
            listing.backups[index].deltaFrom = "base_000000010000000000000002_D_000000010000000000000001"
            listing.backups[index].startTime = Timestamp(microseconds: 1_800_000_000_123_456)
        }
        listing.ranges = (0..<ArchiveListing.rangeLimit).map { index in
            SegmentRange(
                first: "000000010000000000000001", last: "0000000100000000000000AA",
                firstModified: Story.now.adding(seconds: Int64(index)),
                lastModified: Story.now.adding(seconds: Int64(index)))
        }
        let repository = Story.repository("prod", prefix: "prod")
        let whole = PublishedCatalog.manifest(listing, path: "orders", of: repository)
        #expect((whole.data[PublishedCatalog.key] ?? "").utf8.count > PublishedCatalog.byteLimit, "it is too large")
        let published = PublishedCatalog.bounded(listing)
        let manifest = PublishedCatalog.manifest(published, path: "orders", of: repository)
        let size = (manifest.data[PublishedCatalog.key] ?? "").utf8.count
        #expect(size <= PublishedCatalog.byteLimit && size > PublishedCatalog.byteLimit / 2)
        var stored = ConfigMap(
            metadata: ObjectMeta(name: manifest.metadata.name, annotations: manifest.metadata.annotations),
            data: manifest.data)
        #expect(PublishedCatalog.listing(in: stored) == published)
        stored.metadata.annotations = [Label.digest: "another"]
        #expect(PublishedCatalog.listing(in: stored) == nil)
        #expect(published.backups == Array(listing.backups.prefix(published.backups.count)), "the newest")
        #expect(published.ranges == Array(listing.ranges.suffix(published.ranges.count)), "the newest")
        #expect(published.backups.count > 100 && published.ranges.count > 100)
    }
}
