// SPDX-License-Identifier: Apache-2.0

package import Resources

/// The Jobs that look through a repository: one at a time, in its namespace and with its credentials.
package struct RepositoryScanJobs: Equatable, Sendable {
    package var repository: BackupRepository
    /// Which scan this is, counted from 1.
    package var sequence: Int64

    package init(_ repository: BackupRepository, sequence: Int64) {
        self.repository = repository
        self.sequence = sequence
    }

    /// How long a scan may take, in seconds from the start of its pod.
    package static let deadline: Int64 = 3_600
    /// Where the agent finds what is known already, as files `<name of the ConfigMap>.json`.
    package static let knownPath = "/reprise/known"

    private var uid: String { repository.metadata.uid ?? "" }
    private var namespace: String { repository.metadata.namespace ?? "" }

    /// Derived from the repository's UID, so that making it twice makes one. `ordinal` counts repetitions from 1.
    package func name(_ ordinal: Int) -> String {
        "reprise-\(uid.prefix(13).lowercased())-catalog-\(sequence)-\(ordinal)"
    }

    /// What a result of that Job must carry to be believed.
    package func attemptToken(_ ordinal: Int) -> String { "\(uid)/catalog/\(sequence)/\(ordinal)" }

    static func owner(_ repository: BackupRepository) -> OwnerReference {
        OwnerReference(
            apiVersion: BackupRepository.resourceKind.apiVersion, kind: BackupRepository.resourceKind.kind,
            name: repository.metadata.name, uid: repository.metadata.uid ?? "", controller: true)
    }

    /// - Parameters:
    ///   - known: The ConfigMaps with what is known already: only what is new is listed.
    ///   - isFull: List everything anew all the same.
    func manifest(
        _ ordinal: Int, of access: RepositoryAccess, known: [String], isFull: Bool, _ settings: Settings
    ) -> JobManifest {
        let scan = repository.spec?.scan
        var arguments = ["scan", "--repository", "--bucket", access.bucket]
        if !access.prefix.isEmpty { arguments += ["--prefix", access.prefix] }
        arguments += ["--max-archives", "\(scan?.maxArchives ?? BackupRepositoryBehavior.defaultMaxArchives)"]
        if isFull { arguments.append("--full") }
        var pod = AgentPod(
            settings: settings, arguments: arguments, environment: access.environment,
            attemptToken: attemptToken(ordinal))
        if !known.isEmpty {
            pod.arguments += ["--known", Self.knownPath]
            pod.volumes = [VolumeManifest(name: "known", key: PublishedCatalog.key, ofConfigMaps: known)]
            pod.mounts = [VolumeMount(name: "known", mountPath: Self.knownPath, readOnly: true)]
        }
        var annotations = [
            Label.scanSequence: "\(sequence)", Label.scanGeneration: "\(repository.metadata.generation ?? 0)",
        ]
        annotations[Label.scanRequestID] = scan?.requestID
        let name = name(ordinal)
        let labels = [
            Label.managedBy: Label.managedByValue, Label.repositoryUID: uid, Label.job: name,
            Label.catalog: PublishedCatalog.label(repository: repository.metadata.name),
        ]
        return JobManifest(
            metadata: ManifestMeta(
                name: name, namespace: namespace, labels: labels, annotations: annotations,
                ownerReferences: [Self.owner(repository)]),
            template: .ofJob(labels: labels, pod.spec, deadline: Self.deadline))
    }
}

/// One scan as far as it has come. One whose result is not believable is repeated under the next ordinal.
package struct RepositoryScanObservation: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// Not known yet, or its result is being read.
        case unknown
        /// To be made, when it is due.
        case absent
        /// Somebody else's Job has the name.
        case foreign
        /// It runs; says what it is waiting for, if it is, and since when it exists.
        case running(obstacle: PlanFinding?, since: Timestamp?)
        case done(RepositoryScanResult)
        /// Every repetition ended without a believable result.
        case exhausted(String)
    }

    package static let limit = 3

    package var ordinal: Int
    package var state: State
    /// The newest of its Jobs: it says for which request and which generation it was made.
    package var job: Job?

    package static func observe(_ jobs: RepositoryScanJobs, through reader: inout some Reader) -> Self {
        var problem = "its pod left no result"
        var last: Job?
        for ordinal in 1...limit {
            let name = jobs.name(ordinal)
            switch reader.object(Job.self, jobs.repository.metadata.namespace ?? "", name) {
            case .unknown: return Self(ordinal: ordinal, state: .unknown)
            case .absent: return Self(ordinal: ordinal, state: .absent, job: last)
            case .present(let job):
                guard job.metadata.labels?[Label.repositoryUID] == jobs.repository.metadata.uid else {
                    return Self(ordinal: ordinal, state: .foreign)
                }
                last = job
                switch outcome(of: job, jobs.attemptToken(ordinal), &reader) {
                case .state(let state): return Self(ordinal: ordinal, state: state, job: job)
                case .worthless(let why): problem = why
                }
            }
        }
        return Self(ordinal: limit, state: .exhausted(problem), job: last)
    }

    private enum Outcome {
        case state(State)
        /// It has ended, and left nothing that can be believed.
        case worthless(String)
    }

    private static func outcome(of job: Job, _ token: String, _ reader: inout some Reader) -> Outcome {
        switch JobObservation.state(of: job, .repositoryScan, attempt: token, through: &reader) {
        case .unknown: .state(.unknown)
        case .absent: .state(.absent)
        case .foreign: .state(.foreign)
        case .running(let obstacle, let since): .state(.running(obstacle: obstacle, since: since))
        case .done(.repositoryScan(let result)): .state(.done(result))
        case .done(.unbelievable(let why)), .exhausted(let why): .worthless(why)
        case .done: .worthless("the result is of another kind")
        }
    }
}
