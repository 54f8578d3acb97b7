// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

extension Performer {
    func create(_ child: Child) async throws {
        switch child {
        case .claim(let manifest): try await post(manifest, as: PersistentVolumeClaim.self)
        case .statefulSet(let manifest): try await post(manifest, as: StatefulSet.self)
        case .service(let manifest): try await post(manifest, as: Service.self)
        case .job(let manifest): try await post(manifest, as: Job.self)
        case .configMap(let manifest): try await post(manifest, as: ConfigMap.self, isWatched: false)
        case .restoreRun(let manifest): try await post(manifest, as: RestoreRun.self)
        case .serviceBackup(let manifest): try await post(manifest, as: ServiceBackup.self)
        }
    }

    /// Keeps an entry in the controller's own namespace until the ledger is back.
    func spool(_ entry: LedgerEntry) async throws {
        let namespace = loop.configuration.settings.controllerNamespace
        let manifest: ConfigMapManifest
        do { manifest = try SpoolBehavior.manifest(entry, in: namespace) } catch {
            throw StepFailure(
                trouble: Trouble(
                    reason: "Unencodable", message: "the entry can't be written as JSON", disposition: .terminal))
        }
        try await post(manifest, as: ConfigMap.self)
    }

    /// "Exists already" ends the pass, since the effects after it may rely on the object being ours: whether it is,
    /// the next snapshot tells, from a quorum read that is made here.
    /// - Parameter isWatched: `false` for a kind of which only a part is watched: what was made may not be in it, so its
    ///   readers are told directly.
    private func post<M: Manifest, R: Resource>(
        _ manifest: M, as type: R.Type, isWatched: Bool = true
    ) async throws {
        do {
            try loop.hold.check()
            let object = try await loop.client.create(manifest, as: type)
            loop.update { memory in
                let kind = memory.kinds.number(of: type)
                if isWatched {
                    memory.store(object, from: .answer, kind: kind)
                } else {
                    let (space, name) = (manifest.metadata.namespace, manifest.metadata.name)
                    memory.learned(Key(kind: kind, namespace: space, name: name), Live(object))
                }
            }
        } catch let error as APIError where error.code == .alreadyExists {
            loop.note(
                .info, LoopEvents.existsAlready, ["object": manifest.ref.description, "pass": pass])
            try await look(at: manifest.metadata, type)
            throw error
        } catch let error as APIError where error.code == .notFound {
            // It is the namespace that is not there.
            throw StepFailure(
                trouble: Trouble(reason: error.reason, message: error.message, disposition: .retry(after: nil)))
        } catch let error as APIError where error.isDone {
            // It was made; what the server answered can't be read. The watch will tell, where there is one.
            if !isWatched { try await look(at: manifest.metadata, type) }
        }
    }

    /// Reads what there is under a name, and tells everybody.
    private func look<R: Resource>(at metadata: ManifestMeta, _ type: R.Type) async throws {
        let object = try await loop.client.get(type, metadata.namespace, metadata.name)
        loop.update { memory in
            let kind = memory.kinds.number(of: type)
            memory.learned(Key(kind: kind, namespace: metadata.namespace, name: metadata.name), Live(object))
        }
    }

    /// Replaces what a ConfigMap holds.
    mutating func replace(_ seen: Seen, by manifest: ConfigMapManifest) async throws {
        let now = current(seen)
        do {
            try loop.hold.check()
            let object = try await loop.client.patch(ConfigMap.self, now.ref, try Patch.configMap(manifest, of: now))
            noteWrite(of: seen, object.seen)
            loop.update { memory in
                let kind = memory.kinds.number(of: ConfigMap.self)
                memory.learned(Key(kind: kind, namespace: now.ref.namespace, name: now.ref.name), Live(object))
            }
        } catch let error as APIError {
            try await failedWrite(of: now, error)
        }
    }

    /// Makes a Secret. Its values are drawn here, sent once and never read back; one that exists already is fine, since
    /// then that one is what everybody uses.
    func make(_ recipe: SecretRecipe) async throws {
        let ref = Ref(secretKind, recipe.metadata.namespace, recipe.metadata.name)
        let password = Self.base64url(loop.entropy.secret(bytes: recipe.passwordBytes, for: "secret/\(ref)"))
        let manifest = SecretManifest(
            metadata: recipe.metadata,
            stringData: ["username": recipe.username, "database": recipe.database, "password": password])
        do {
            try loop.hold.check()
            try await loop.client.create(manifest)
        } catch let error as APIError where error.code == .alreadyExists {
            loop.note(.info, LoopEvents.existsAlready, ["object": ref.description, "pass": pass])
        } catch let error as APIError where error.code == .notFound {
            throw StepFailure(
                trouble: Trouble(reason: error.reason, message: error.message, disposition: .retry(after: nil)))
        }
    }

    /// Without padding.
    static func base64url(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".unicodeScalars)
        var text = String.UnicodeScalarView()
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits: UInt32 = 0
            for index in 0..<3 {
                bits = bits << 8 | (index < group.count ? UInt32(group[group.startIndex + index]) : 0)
            }
            for index in 0...group.count { text.append(alphabet[Int(bits >> UInt32(18 - 6 * index)) & 63]) }
        }
        return String(text)
    }

    /// An effect in words, as failures and logs name it. The same for the same effect.
    static func words(for effect: Effect) -> String {
        switch effect {
        case .create(let child): "create \(child.ref)"
        case .makeSecret(let recipe): "create Secret \(recipe.metadata.namespace)/\(recipe.metadata.name)"
        case .changeTemplate(let seen, _): "change the template of \(seen.ref)"
        case .scale(let seen, _, let replicas): "scale \(seen.ref) to \(replicas)"
        case .setFinalizers(let seen, _): "set the finalizers of \(seen.ref)"
        case .replaceConfigMap(let seen, _): "replace what \(seen.ref) holds"
        case .annotate(let seen, _): "annotate \(seen.ref)"
        case .dropAnnotations(let seen, _): "remove annotations of \(seen.ref)"
        case .delete(let seen): "delete \(seen.ref)"
        case .record(let entry): "record \(entry.status) of run \(entry.namespace)/\(entry.name) in the ledger"
        case .spool(let entry): "spool \(entry.status) of run \(entry.namespace)/\(entry.name)"
        }
    }
}

extension APIError {
    /// The call took place, and only its answer can't be read.
    fileprivate var isDone: Bool { code == .undecodable && (200..<300).contains(httpStatus ?? 0) }
}
