// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// A module of the house, with the edges it may have: what is not named here can't be imported.
func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
    name: "reprise",
    targets: [
        // C libraries, from Debian's -dev packages.
        .systemLibrary(name: "CBrotli", pkgConfig: "libbrotlidec"),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl"),
        .systemLibrary(name: "CLibXML", pkgConfig: "libxml-2.0"),
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4"),
        .systemLibrary(name: "CLZMA", pkgConfig: "liblzma"),
        .systemLibrary(name: "CMicrohttpd", pkgConfig: "libmicrohttpd"),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
        .target(
            name: "CSimdjson", cxxSettings: [.define("SIMDJSON_THREADS_ENABLED", to: "1")],
            linkerSettings: [.linkedLibrary("simdjson")]),

        // Values, and pure functions over them.
        module("Resources"),
        module("Digest", ["CCrypto"]),
        module("JSON", ["CSimdjson"]),
        module("Frames", ["CZlib", "Digest", "JSON"]),
        module("Catalog", ["JSON", "Resources"]),
        module("Reconciler", ["Catalog", "Digest", "JSON", "Resources"]),

        // What the loop needs from outside, and who provides it.
        module("Seams", ["Resources"]),
        module("KubeClient", ["CYAML", "JSON", "Resources", "Seams"]),
        module("Curl", ["CCurl", "Resources", "Seams"]),
        module("ObjectStore", ["CLibXML", "Resources", "Seams"]),
        module("Postgres", ["CPostgres"]),
        module("Ledger", ["JSON", "Postgres", "Resources", "Seams"]),

        // The loop: knows no domain.
        module("ControlLoop", ["Frames", "JSON", "KubeClient", "Reconciler", "Resources", "Seams"]),
        module("Wiring", ["ControlLoop", "KubeClient", "Reconciler", "Resources", "Seams"]),

        program(
            "controller",
            [
                "CMicrohttpd", "ControlLoop", "Curl", "JSON", "KubeClient", "Ledger", "Reconciler", "Resources",
                "Seams",
                "Wiring",
            ]),
        // Decode and encode times beside Foundation's: swift run -c release JSONBench
        .executableTarget(
            name: "JSONBench", dependencies: ["JSON"], path: "Benchmarks/JSONBench", swiftSettings: swiftSettings),
        // The agent is its scans, which tests can import, and a program around them.
        .target(
            name: "Scanning",
            dependencies: [
                "CBrotli", "CLZ4", "CLZMA", "CZlib", "CZstd", "Catalog", "Digest", "Frames", "JSON", "ObjectStore",
                "Resources", "Seams",
            ],
            path: "Sources/agent", exclude: ["Program"], swiftSettings: swiftSettings),
        .executableTarget(
            name: "agent", dependencies: ["Curl", "Frames", "JSON", "ObjectStore", "Resources", "Scanning"],
            path: "Sources/agent/Program", swiftSettings: swiftSettings),

        // Stand-ins for tests: a deterministic executor, a model of the API server, a model of the ledger.
        .target(
            name: "TestSupport",
            dependencies: [
                "ControlLoop", "Frames", "JSON", "KubeClient", "Reconciler", "Resources", "Seams", "Wiring",
            ],
            path: "Tests/TestSupport", swiftSettings: swiftSettings),
        .executableTarget(
            name: "simulate", dependencies: ["Seams", "TestSupport"], path: "Tests/Simulation",
            swiftSettings: swiftSettings),
        // The model API server beside a real one: hack/test-conformance.sh
        .executableTarget(
            name: "conformance", dependencies: ["Curl", "JSON", "KubeClient", "Resources", "Seams", "TestSupport"],
            path: "Tests/Conformance", swiftSettings: swiftSettings),
        // Hostile bytes for every decoder: swift run -c release fuzz; docs/fuzzing.md
        .target(name: "FuzzMeter", path: "Tests/Fuzz/Meter"),
        .target(
            name: "FuzzKit",
            dependencies: [
                "CLZ4", "CLZMA", "CZlib", "CZstd", "Catalog", "ControlLoop", "Frames", "JSON", "KubeClient",
                "ObjectStore", "Postgres", "Reconciler", "Resources", "Scanning", "Seams",
            ],
            path: "Tests/Fuzz/Kit", swiftSettings: swiftSettings),
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzKit", "FuzzMeter"], path: "Tests/Fuzz/Program",
            swiftSettings: swiftSettings),
        tests("FuzzTests", ["FuzzKit"]),
        tests("ResourcesTests", ["Resources"]),
        tests("JSONTests", ["JSON"]),
        tests("FramesTests", ["CZlib", "Digest", "Frames", "JSON"]),
        tests("CatalogTests", ["Catalog", "JSON", "Resources"]),
        tests("ObjectStoreTests", ["Curl", "ObjectStore", "Resources", "Seams"], exclude: ["Fixtures"]),
        tests("ReconcilerTests", ["Catalog", "JSON", "Reconciler", "Resources"]),
        tests("KubeClientTests", ["JSON", "KubeClient", "Resources", "Seams"]),
        tests("LedgerTests", ["Ledger", "Postgres", "Resources", "Seams", "TestSupport"]),
        tests(
            "ControlLoopTests", ["ControlLoop", "Frames", "JSON", "KubeClient", "Reconciler", "Resources", "Seams"]),
        tests(
            "SimulationTests",
            [
                "ControlLoop", "Frames", "JSON", "KubeClient", "Reconciler", "Resources", "Seams", "TestSupport",
                "Wiring",
            ], exclude: ["Regressions"]),
        tests("CurlTests", ["Curl", "Resources", "Seams"], exclude: ["Fixtures"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
