// SPDX-License-Identifier: Apache-2.0

import Resources

// Pending/Prepare: everything that can be known before anything is touched.

extension RestoreRunBehavior {
    /// How long a run waits for what is not there yet (a repository that Git applies a moment later), in seconds.
    package static let prepareDeadline: Int64 = 600
    /// How long the Jobs that look at the archives may take, in seconds: a million segments are a thousand pages.
    package static let scanDeadline: Int64 = 3_600

    static func prepare(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        let view: WorldView
        if let applied = appliedAlready(snapshot) {
            return snapshot.status.plan == nil ? refuse(snapshot, draft, [applied]) : fail(snapshot, draft, applied)
        }
        if let inPlace = snapshot.inPlace, let request = inPlace.request {
            if snapshot.status.plan != nil { return startInPlace(snapshot, inPlace, request, draft) }
            if case .backup = request.source { draft.record.discovered = inPlace.discovered }
            view = lookInPlace(snapshot, inPlace, request, at: draft.now)
        } else if let request = snapshot.request {
            if snapshot.status.plan != nil { return start(snapshot, draft) }
            // Before anything follows from it: whoever edits or removes the ServiceBackup later changes nothing here.
            if request.sourceBackupName != nil { draft.record.discovered = discovered(snapshot) }
            view = lookAtWorld(snapshot, request, at: draft.now)
        } else if let why = lookAtTemplate(snapshot) {
            view = why
        } else {
            return refuse(snapshot, draft, snapshot.findings)
        }
        switch view {
        case .refused(let findings): return refuse(snapshot, draft, findings)
        case .missing(let finding):
            if draft.now >= prepareEnds(snapshot, draft) { return refuse(snapshot, draft, [finding]) }
            draft.set(RunCondition.planned, .no, finding.reason, finding.message)
            draft.waiting(finding.reason, finding.message)
            return waiting(snapshot, draft, [])
        case .busy(let finding):
            draft.set(RunCondition.planned, .no, finding.reason, finding.message)
            draft.waiting(finding.reason, "\(finding.message); this run goes on when that one has ended")
            return waiting(snapshot, draft, [])
        case .reading(let message):
            // What comes rings. To say so each time would ring as well, and the next pass would read it anew: in circles.
            guard snapshot.status.state == nil else { return withRecord(Decision(), snapshot, snapshot.status) }
            draft.working("Planning", message)
            return waiting(snapshot, draft, [])
        case .looking(let message, let effects, let obstacle):
            // Where nobody says why there is no pod it may as well be the cluster itself that is down for a while.
            let known = obstacle?.reason == PodObstacle.noPod ? nil : obstacle
            if isStuck(snapshot, obstacle), draft.now >= lookingEnds(snapshot, draft, known) {
                let limit = known == nil ? scanDeadline : prepareDeadline
                let late = PlanFinding(reason: "NoProgress", message: "after \(limit) s still: \(message)")
                return refuse(snapshot, draft, [obstacle ?? late])
            }
            draft.working("Planning", message)
            if let obstacle { draft.waiting(obstacle.reason, obstacle.message) }
            noteFailure(&draft, snapshot)
            return waiting(snapshot, draft, effects)
        case .seen(let world): return plan(snapshot, draft, world)
        case .seenInPlace(let world): return planInPlace(snapshot, draft, world)
        }
    }

    /// Counted from the first pass, and not from the object's making: a manifest may have waited in Git's cluster for the
    /// controller to come.
    private static func prepareEnds(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, after limit: Int64 = prepareDeadline
    ) -> Timestamp {
        let first = snapshot.status.conditions?.condition(RunCondition.finished)?.lastTransitionTime
        return (first ?? draft.now).adding(seconds: limit)
    }

    /// An obstacle has ten minutes from the making of the Job that it holds up, and not from the run's beginning.
    private static func lookingEnds(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ obstacle: PlanFinding?
    ) -> Timestamp {
        guard obstacle != nil else { return prepareEnds(snapshot, draft, after: scanDeadline) }
        let made = snapshot.jobs.values.compactMap { job -> Timestamp? in
            if case .running(.some, let since) = job.state { since } else { nil }
        }.max()
        let first = prepareEnds(snapshot, draft)
        return max(first, made.map { $0.adding(seconds: prepareDeadline) } ?? first)
    }

    /// A Job runs and does not end. What is only being read is no reason to give up.
    private static func isStuck(_ snapshot: RestoreRunSnapshot, _ obstacle: PlanFinding?) -> Bool {
        obstacle != nil
            || snapshot.jobs.values.contains { job in
                if case .running = job.state { true } else { false }
            }
    }

    private static func wake(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Wake {
        let moments = [
            prepareEnds(snapshot, draft), lookingEnds(snapshot, draft, PlanFinding(reason: "", message: "")),
            prepareEnds(snapshot, draft, after: scanDeadline),
        ]
        return moments.filter { $0 > draft.now }.min().map { .at($0) } ?? .onChange
    }

    static func waiting(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ effects: [Effect]
    ) -> Decision<Status> {
        withRecord(
            Decision(status: draft.status, effects: effects, wake: wake(snapshot, draft)), snapshot, draft.status)
    }

    /// Refuses a run before anything is made. All findings are named; the first one is the reason.
    static func refuse(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ findings: [PlanFinding]
    ) -> Decision<Status> {
        var draft = draft
        let finding = findings.first ?? PlanFinding(reason: "InvalidSpec", message: "the request can't be read")
        let message = findings.count < 2 ? finding.message : findings.map(\.message).joined(separator: "; ")
        var plan = draft.status.plan ?? PlanStatus()
        plan.errors = Array(findings.prefix(16))
        plan.noteUnsupported()
        draft.status.plan = plan
        draft.set(RunCondition.planned, .no, finding.reason, message)
        return fail(snapshot, draft, PlanFinding(reason: finding.reason, message: message))
    }

    private static func plan(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ world: PlanInput
    ) -> Decision<Status> {
        var draft = draft
        let plan = Planner.plan(world)
        draft.status.plan = plan.status
        if let errors = plan.status.errors, !errors.isEmpty { return refuse(snapshot, draft, errors) }
        draft.record.pinnedBackup = plan.pinned
        draft.record.copied = world.request.copied
        draft.record.recoveryTimeline = plan.timeline
        draft.record.targetTimeline = plan.targetTimeline
        draft.record.checks = world.checks.isEmpty ? nil : world.checks
        draft.record.source = world.sourceScan.fingerprint
        draft.record.sourceURI = world.source.place(world.sourcePath)
        draft.record.archiveURI = world.archive.flatMap { access in world.request.archive.map { access.place($0.path) }
        }
        let warnings = (plan.status.warnings ?? []).map(\.message).joined(separator: "; ")
        draft.set(
            RunCondition.planned, .yes, "Planned",
            "restores base backup \(plan.pinned?.name ?? "")" + (warnings.isEmpty ? "" : "; \(warnings)"))
        if world.approvalAskedBy.isEmpty {
            draft.set(RunCondition.approved, .yes, "NotRequired", "a new service destroys nothing")
        } else {
            draft.record.approvalAskedBy = world.approvalAskedBy
            draft.set(RunCondition.approved, .unknown, "Pending", "not looked at yet")
        }
        draft.set(
            RunCondition.locked, .yes, "ClaimIsTheLock",
            "for a new name, creating the claim is the lock")
        draft.working("Planned", "planned; waiting for the ledger's row")
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }

    private static func start(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        if let waiting = withoutRow(snapshot, draft) { return waiting }
        var draft = draft
        if let waiting = awaitApproval(snapshot, &draft) { return waiting }
        return begin(
            snapshot, draft, .provision, "from here on the run writes to the new service", "creating the new service")
    }

    /// Nothing starts before the ledger has the run, unless the run was made for the day when the ledger is lost.
    static func withoutRow(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status>? {
        guard draft.status.conditions?.isTrue(RunCondition.recorded) != true else { return nil }
        let breakGlass = startsWithoutLedger(snapshot, draft)
        if let breakGlass, draft.now >= breakGlass { return nil }
        var draft = draft
        let message = draft.status.conditions?.condition(RunCondition.recorded)?.message ?? ""
        draft.waiting(
            "WaitingForLedger",
            "planned; nothing starts before the ledger has its row: \(message)" + consentWords(breakGlass))
        noteFailure(&draft, snapshot)
        return withRecord(
            Decision(status: draft.status, wake: breakGlass.map { .at($0) } ?? .onChange), snapshot, draft.status)
    }

    /// The point of no return. This pass commits the facts and does nothing else: a cancel in between is a conflict.
    static func begin(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ phase: RunPhase, _ consequence: String,
        _ words: String
    ) -> Decision<Status> {
        var draft = draft
        draft.status.state = Open(.running)
        draft.status.phase = Open(phase)
        draft.status.startedAt = draft.now.wholeSecond
        draft.record.stepStartedAt = draft.now.wholeSecond
        if draft.status.conditions?.isTrue(RunCondition.recorded) != true { draft.record.startedWithoutLedger = true }
        draft.set(RunCondition.pointOfNoReturn, .yes, "Started", consequence)
        draft.working("Starting", words)
        // The ledger must say `running` before the first write; `advance` waits for that.
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }
}

/// What was found when looking at the request's surroundings.
enum WorldView {
    case refused([PlanFinding])
    /// Something is not there (yet).
    case missing(PlanFinding)
    /// Another run is at work there: its end is waited for.
    case busy(PlanFinding)
    /// An object is on its way.
    case reading(String)
    /// Jobs are at work, or to be made.
    case looking(String, [Effect], PlanFinding?)
    case seen(PlanInput)
    case seenInPlace(InPlaceInput)
}

extension RestoreRunBehavior {
    private static func lookAtWorld(
        _ snapshot: RestoreRunSnapshot, _ request: RunRequest, at now: Timestamp
    ) -> WorldView {
        if let name = request.retryOf, snapshot.retryOf.isUnknown {
            return .reading("reading RestoreRun \(name)")
        }
        let sourceAccess: RepositoryAccess
        let path: String
        let archiveAccess: RepositoryAccess?
        switch lookAtPlaces(snapshot, request) {
        case .not(let view): return view
        case .found(let access, let found, let own): (sourceAccess, path, archiveAccess) = (access, found, own)
        }
        let checks: [VerificationCheck]
        switch self.checks(snapshot, request) {
        case .not(let view): return view
        case .found(let found): checks = found
        }
        guard let approvalAskedBy = approvalAskedBy(snapshot) else {
            return .reading("reading who archives to the source")
        }
        if let waiting = leaving(snapshot.occupants, request) { return waiting }
        if let occupied = occupied(snapshot.occupants, request) { return .refused([occupied]) }
        let jobs = PostgresJobs(request: request, settings: snapshot.settings, owner: owner(snapshot.run))
        var scans: [JobRole: ScanResult] = [:]
        var effects: [Effect] = []
        var obstacle: PlanFinding?
        var wanted: [(JobRole, RepositoryAccess, String)] = [(.scanSource, sourceAccess, path)]
        if let archiveAccess, let own = request.archive { wanted.append((.scanArchive, archiveAccess, own.path)) }
        for (role, access, path) in wanted {
            let seen = snapshot.jobs[role] ?? JobObservation(ordinal: 1, state: .unknown)
            switch seen.state {
            case .unknown: break
            case .absent: effects.append(.create(.job(jobs.scan(role, seen.ordinal, of: access, path: path))))
            case .foreign: return .refused([foreignJob(request.names.job(role, seen.ordinal))])
            case .running(let why, _): obstacle = obstacle ?? why
            case .done(.scan(let result)): scans[role] = result
            case .done: return .refused([unreadable(role, "it is of another kind")])
            case .exhausted(let why): return .refused([unreadable(role, why)])
            }
        }
        guard let sourceScan = scans[.scanSource], archiveAccess == nil || scans[.scanArchive] != nil else {
            return .looking("looking at the archives", effects, obstacle)
        }
        guard areOccupantsKnown(snapshot.occupants) else { return .reading("looking at what has its name") }
        return .seen(
            PlanInput(
                request: request, source: sourceAccess, sourcePath: path, sourceScan: sourceScan,
                archive: archiveAccess, archiveScan: scans[.scanArchive], now: now, mustName: mustName(snapshot),
                checks: checks, approvalAskedBy: approvalAskedBy))
    }

    private enum Checks {
        case found([VerificationCheck])
        case not(WorldView)
    }

    /// The checks that the run names, as they stand now.
    private static func checks(_ snapshot: RestoreRunSnapshot, _ request: RunRequest) -> Checks {
        guard !request.checks.isEmpty else { return .found([]) }
        if request.clone != nil, snapshot.clone.isUnknown { return .not(.reading("reading the clone")) }
        let known =
            (snapshot.clone.value?.spec?.verification ?? [])
            + (snapshot.sourceService.value?.spec?.protection?.verification ?? [])
        let found = request.checks.compactMap { name in known.first { $0.name == name } }
        guard found.count == request.checks.count else {
            let names = Set(found.compactMap(\.name))
            let unknown = request.checks.filter { !names.contains($0) }.joined(separator: ", ")
            let finding = PlanFinding(
                reason: "InvalidSpec",
                message: "spec.verification.checks: there is no check \(unknown) on "
                    + (request.sourceServiceName.map { "ManagedService \($0)" }
                        ?? "a ManagedService, because spec.source names none"))
            return .not(.refused([finding]))
        }
        return .found(found)
    }

    /// The image fetched another base backup than the plan's in the run that this one repeats: now it is named.
    private static func mustName(_ snapshot: RestoreRunSnapshot) -> String? {
        guard let earlier = snapshot.retryOf.value,
            let finished = earlier.status?.conditions?.condition(RunCondition.finished), finished.isTrue,
            finished.reason == "OtherBaseBackup"
        else { return nil }
        return
            "RestoreRun \(earlier.metadata.name) ended with OtherBaseBackup: an init container fetches the base backup "
            + "by its name this time"
    }

    /// Nothing but a claim has the name, and it is on its way out: whoever deletes a service and asks for it again need not
    /// wait for that himself.
    private static func leaving(_ found: RestoreRunSnapshot.Occupants, _ request: RunRequest) -> WorldView? {
        guard let claim = found.claim.value, claim.metadata.isDeleting else { return nil }
        guard areOccupantsKnown(found) else { return .reading("looking at what has its name") }
        var others = found
        others.claim = .absent(confirmed: true)
        guard occupied(others, request) == nil else { return nil }
        return .missing(
            PlanFinding(
                reason: "TargetNotEmpty",
                message: "spec.target.newService.name \(request.serviceName): PersistentVolumeClaim "
                    + "\(claim.metadata.name) of that name is being deleted in namespace \(request.namespace); it is "
                    + "waited for for \(prepareDeadline) s. If it stays Terminating, a pod uses it still"))
    }

    static func occupied(_ found: RestoreRunSnapshot.Occupants, _ request: RunRequest) -> PlanFinding? {
        let names = request.names
        var kinds: [String] = []
        if found.claim.value != nil { kinds.append("PersistentVolumeClaim \(names.claim)") }
        if found.statefulSet.value != nil { kinds.append("StatefulSet \(names.statefulSet)") }
        if let service = found.clientService.value, !request.isReusable(service) {
            kinds.append("Service \(names.clientService)")
        }
        if let service = found.headlessService.value, !request.isReusable(service) {
            kinds.append("Service \(names.headlessService)")
        }
        guard !kinds.isEmpty else { return nil }
        return PlanFinding(
            reason: "TargetNotEmpty",
            message: "spec.target.newService.name \(request.serviceName): \(kinds.joined(separator: " and ")) "
                + "exists already in namespace \(request.namespace) and is not this run's; choose another name, or "
                + "remove it yourself if its data is not needed")
    }

    /// Every name has been looked up.
    static func areOccupantsKnown(_ found: RestoreRunSnapshot.Occupants) -> Bool {
        !found.claim.isUnknown && !found.statefulSet.isUnknown && !found.clientService.isUnknown
            && !found.headlessService.isUnknown
    }
}
