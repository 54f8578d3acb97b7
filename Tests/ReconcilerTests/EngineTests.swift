// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What is asked of an engine that it can't do, or that this version can't, is refused before anything is made: by a run
/// and by a preview, whichever way the engine is named.
@Suite("A mode that an engine has not")
struct EngineTests {
    /// A mode, with whether a new service is asked for.
    struct Ask: Sendable, CustomTestStringConvertible {
        var mode: RestoreMode
        var isNew: Bool
        var testDescription: String { "\(mode.rawValue), \(isNew ? "new" : "in place")" }

        static let all = [
            Ask(mode: .inPlace, isNew: false), Ask(mode: .newService, isNew: true),
            Ask(mode: .pointInTime, isNew: false), Ask(mode: .pointInTime, isNew: true),
        ]

        func fill(_ spec: inout RestoreRunSpec, _ source: RestoreSource) {
            spec.mode = Open(mode)
            spec.source = source
            spec.target = isNew ? .init(newService: Story.service) : .init(service: .init(name: "orders"))
            spec.confirm = isNew ? nil : "orders/9c41b7aa"
            spec.recoveryTarget = mode == .pointInTime ? Story.time(Story.now.adding(seconds: -300)) : nil
        }
    }

    /// For each engine: what is said of in place, new, a moment in place, a moment new. `nil` is no word.
    static let words: [EngineName: [String?]] = [
        .postgres: [nil, nil, nil, nil],
        .redis: [
            "not available", "can't be restored into a new service, only in place",
            "can't be restored to a moment, only in place", "can't be restored to a moment, only in place",
        ],
        .mongodb: [
            "not available", "can't be restored into a new service, only in place",
            "can't be restored to a moment, only in place", "can't be restored to a moment, only in place",
        ],
        .s3: [
            "not available", "not available", "can't be restored to a moment, only in place or into a new service",
            "can't be restored to a moment, only in place or into a new service",
        ],
    ]

    static let cases = EngineName.allCases.flatMap { engine in Ask.all.indices.map { (engine, $0) } }

    @Test("what it has not is unsupported, and what only this version has not is not available", arguments: cases)
    func described(_ engine: EngineName, _ index: Int) throws {
        let ask = Ask.all[index]
        let expected = try #require(Self.words[engine])[index]
        let found = EngineDescription.of(engine).obstacle(to: ask.mode, intoNewService: ask.isNew)
        #expect((found == nil) == (expected == nil))
        if let expected { #expect(found?.contains(expected) == true, "\(found ?? "")") }
    }

    @Test("an engine of which nothing is said can be restored in place, and in no other way")
    func stub() {
        let stub = EngineDescription(.redis, implemented: [.inPlace])
        let found = Ask.all.map { stub.obstacle(to: $0.mode, intoNewService: $0.isNew) == nil }
        #expect(found == [true, false, false, false])
    }

    /// The same of runs and previews: a service of that engine as source and target, and an address that names it.
    @Test("a run is refused with it before anything is made, and its preview first", arguments: cases)
    func refused(_ engine: EngineName, _ index: Int) throws {
        guard let expected = try #require(Self.words[engine])[index] else { return }
        let ask = Ask.all[index]
        let location = BackupLocation(
            uri: "s3://backups/prod/orders", engine: Open(engine), repository: .init(name: "prod"))
        for source in [RestoreSource(service: .init(name: "shop")), RestoreSource(location: location)] {
            var reader = Story.scanned()
            for name in ["orders", "shop"] {
                var service = InPlaceWorld.service
                service.metadata.name = name
                service.spec?.engine = Open(source.service == nil && name == "orders" ? .postgres : engine)
                reader.add(service)
            }
            reader.add(InPlaceWorld.workload())
            let (run, _, effects) = settle(Story.run(nil) { ask.fill(&$0, source) }, reader)
            let status = try #require(run.status)
            #expect(status.state?.known == .failed)
            #expect(status.conditions?.condition(RunCondition.finished)?.reason == "UnsupportedMode")
            #expect(status.message?.contains(expected) == true, "\(status.message ?? "")")
            #expect(effects.compactMap(\.child).isEmpty)
            #expect(RestoreRunBehavior.entry(for: run, status).strategy == "unsupported")
            let preview = RestorePlanBehavior.decide(
                RestorePlanBehavior.observe(RestorePlanTests.plan { ask.fill(&$0, source) }, through: &reader),
                at: Story.now
            ).status
            #expect(preview?.strategy == "Unsupported" && preview?.engine == engine.rawValue)
            #expect(preview?.mode == ask.mode.rawValue && preview?.targetService?.isNew == ask.isNew)
            #expect(preview?.errors?.first?.reason == "UnsupportedMode" && preview?.hash == nil)
        }
    }
}
