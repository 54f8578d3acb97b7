// SPDX-License-Identifier: Apache-2.0

import Foundation
import Resources
import Testing

@testable import Reconciler

/// The tables in Tests/Fixtures/validation, which Tests/CRD holds the CRDs to as well: whatever the API server refuses
/// by schema or CEL is refused here again, and more.
@Suite struct ValidationTableTests {
    @Test func restoreRun() throws {
        try check("restorerun", cases: 70, RestoreRunSpec.self, { validate($0) }, validateChange)
    }

    @Test func restorePlan() throws {
        try check("restoreplan", cases: 40, RestorePlanSpec.self, { validate($0) }, { _, _ in [] })
    }

    @Test func serviceBackup() throws {
        try check("servicebackup", cases: 29, ServiceBackupSpec.self, { validate($0) }, validateChange)
    }

    @Test func restoreApproval() throws {
        try check("restoreapproval", cases: 28, RestoreApprovalSpec.self, { validate($0) }, validateChange)
    }

    @Test func serviceClone() throws {
        try check("serviceclone", cases: 200, ServiceCloneSpec.self, { validate($0) }, validateChange)
    }

    @Test func backupRepository() throws {
        try check("backuprepository", cases: 90, BackupRepositorySpec.self, { validate($0) }, { _, _ in [] })
    }

    @Test func managedService() throws {
        try check("managedservice", cases: 20, ManagedServiceSpec.self, { validate($0) }, { _, _ in [] })
    }

    /// Every case of one table; fewer than `cases` means that the table was not read.
    private func check<Spec: Decodable>(
        _ name: String, cases: Int, _ type: Spec.Type, _ validate: (Spec?) -> [Finding],
        _ validateChange: (Spec, Spec) -> [Finding]
    ) throws {
        let table = try Table.read(name)
        #expect(table.cases.count >= cases)
        #expect(Set(table.cases.map(\.accepted)) == [true, false])
        for item in table.cases {
            let spec = try? table.decode(type, item.variant)
            #expect((spec != nil) == (item.decodes ?? true), "\(item.name): decodes")
            guard let spec else { continue }
            var findings = validate(spec)
            if let was = item.was { findings += validateChange(try table.decode(type, was), spec) }
            if item.accepted {
                #expect(findings == [], "\(item.name)")
                continue
            }
            let expect = try #require(item.expect, "\(item.name) says what to expect")
            #expect(
                findings.contains {
                    $0.reason == expect.reason && $0.field == expect.field && $0.message.contains(expect.message)
                }, "\(item.name): \(expect) in \(findings)")
            for finding in findings { self.form(of: finding, in: item.name) }
        }
    }

    /// What every message promises: the field, a way out, bounded, and nothing that a terminal or a log would act on.
    private func form(of finding: Finding, in name: String) {
        #expect(finding.message.hasPrefix("\(finding.field) "), "\(name): \(finding)")
        #expect(finding.message.contains(": ") || finding.message.contains(", or "), "\(name): \(finding)")
        #expect(finding.message.count < 600, "\(name): \(finding)")
        #expect(finding.message.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "\(name): \(finding)")
        #expect(finding.reason.first?.isUppercase == true)
    }

    @Test func absentSpecs() {
        #expect(validate(nil as RestoreRunSpec?).map(\.field) == ["spec"])
        #expect(validate(nil as ServiceCloneSpec?).map(\.field) == ["spec"])
        #expect(validate(nil as BackupRepositorySpec?).map(\.field) == ["spec"])
        #expect(validate(nil as ManagedServiceSpec?).map(\.field) == ["spec"])
        #expect(validate(nil as ServiceBackupSpec?).map(\.field) == ["spec"])
    }

    @Test func emptySpecs() {
        #expect(validate(RestoreRunSpec()).map(\.field) == ["spec.mode", "spec.source", "spec.target"])
        #expect(validate(ServiceCloneSpec()).map(\.field) == ["spec.source", "spec.service"])
        #expect(validate(ManagedServiceSpec()).map(\.field) == ["spec.engine", "spec.workload"])
        #expect(
            validate(BackupRepositorySpec(s3: nil, credentials: nil)).map(\.field) == ["spec.s3", "spec.credentials"])
    }

    @Test func loopbackOnlyWhenAllowed() {
        func findings(_ endpoint: String, _ allowLoopback: Bool) -> [String] {
            var location = S3Location(endpoint: endpoint, bucket: "backups")
            location.insecure = true
            let credentials = RepositoryCredentials(secretRef: .init(name: "s3"))
            let spec = BackupRepositorySpec(s3: location, credentials: credentials)
            return validate(spec, allowLoopback: allowLoopback).map(\.reason)
        }
        #expect(findings("http://127.0.0.1:9000", true) == [])
        #expect(findings("http://127.0.0.1:9000", false) == ["EndpointNotAllowed"])
        #expect(findings("http://169.254.169.254", true) == ["EndpointNotAllowed"])
        #expect(findings("http://kubernetes.default", true) == ["EndpointNotAllowed"])
    }

    /// Values that may be secrets are not repeated.
    @Test func secretsStayOut() throws {
        var location = S3Location(endpoint: "https://admin:hunter2@store", bucket: "backups")
        location.insecure = true
        let repository = BackupRepositorySpec(s3: location, credentials: nil)
        var service = NewService()
        service.name = "x"
        service.env = [.init(name: "A", value: String(repeating: "hunter2", count: 1_000))]
        var clone = ServiceCloneSpec()
        clone.service = service
        clone.verification = [
            try JSONDecoder().decode(
                VerificationCheck.self,
                from: JSONEncoder().encode(["name": "a", "query": String(repeating: "hunter2", count: 1_000)]))
        ]
        let findings = validate(repository) + validate(clone)
        #expect(findings.contains { $0.field == "spec.s3.endpoint" })
        #expect(findings.contains { $0.field == "spec.service.env[0].value" })
        #expect(findings.contains { $0.field == "spec.verification[0].query" })
        #expect(!findings.contains { $0.message.contains("hunter2") })
    }

    @Test func manyFindingsAreCut() {
        var clone = ServiceCloneSpec()
        clone.service = NewService()
        clone.service?.env = (0..<60).map { .init(name: "WALG_\($0)", value: nil) }
        #expect(validate(clone).count == 16)
    }

    @Test func quotedText() {
        #expect(quoted("a\nb") == #""a\u{A}b""#)
        #expect(quoted("a\"b\\") == #""a\"b\\""#)
        #expect(quoted("\u{202E}\u{1F600}") == #""\u{202E}\u{1F600}""#)
        #expect(quoted(String(repeating: "x", count: 100)) == "\"\(String(repeating: "x", count: 64))...\"")
    }
}

/// One file of Tests/Fixtures/validation.
private struct Table: Decodable {
    var bases: [String: Passthrough]
    var cases: [Case]

    struct Variant: Decodable {
        var base: String
        var patch: Passthrough?
    }

    struct Expectation: Decodable {
        var reason: String
        var field: String
        var message: String
    }

    struct Case: Decodable {
        var name: String
        var accepted: Bool
        var base: String
        var patch: Passthrough?
        var was: Variant?
        var decodes: Bool?
        var expect: Expectation?

        var variant: Variant { Variant(base: base, patch: patch) }
    }

    static func read(_ name: String) throws -> Table {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let file = tests.appending(path: "Fixtures/validation/\(name).json")
        return try JSONDecoder().decode(Table.self, from: Data(contentsOf: file))
    }

    func decode<Spec: Decodable>(_ type: Spec.Type, _ variant: Variant) throws -> Spec {
        let base = try #require(bases[variant.base])
        let merged = variant.patch.map { base.merged(with: $0) } ?? base
        return try JSONDecoder().decode(type, from: JSONEncoder().encode(merged))
    }
}

extension Passthrough {
    /// RFC 7386.
    fileprivate func merged(with patch: Passthrough) -> Passthrough {
        guard case .object(let changes) = patch else { return patch }
        var members: [String: Passthrough] = [:]
        if case .object(let mine) = self { members = mine }
        for (key, value) in changes {
            members[key] = value == .null ? nil : (members[key] ?? .null).merged(with: value)
        }
        return .object(members)
    }
}
