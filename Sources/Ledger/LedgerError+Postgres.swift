// SPDX-License-Identifier: Apache-2.0

import Postgres
import Seams

/// The two indexes that let only one run hold a target.
enum ActiveIndex: String, Sendable {
    case target = "restore_runs_active_target"
    case newService = "restore_runs_active_new_service"

    /// The index that refused, if it was one of them.
    init?(_ error: PostgresError) {
        guard error.sqlState == "23505", let constraint = error.constraint else { return nil }
        self.init(rawValue: constraint)
    }

    /// The error for the run that came second.
    func busy(holder: String?) -> LedgerError {
        let what =
            switch self {
            case .target: "the target"
            case .newService: "the name of the new service"
            }
        return LedgerError(.busy, "\(what) is held by the running run \(holder ?? "of someone else")")
    }
}

extension LedgerError {
    /// What an error of the wire means to the loop. Whatever is not the entry's own fault is `unavailable`: the caller
    /// tries again, and the upsert makes that safe.
    init(mapping error: any Error) {
        switch error {
        case let error as LedgerError: self = error
        case let error as PostgresError: self.init(mapping: error)
        default: self.init(.unavailable, "the ledger could not be used")
        }
    }

    private init(mapping error: PostgresError) {
        guard error.code == .server, let state = error.sqlState else {
            self.init(.unavailable, error.message)
            return
        }
        let code: Code
        switch (state, error.sqlClass) {
        case ("RP001", _): code = .terminalRow
        case ("RP003", _): code = .fenced
        case ("RP002", _), ("RP004", _): code = .invalid
        case ("23505", _) where ActiveIndex(error) != nil: code = .busy
        case (_, "22"), (_, "23"), (_, "54"): code = .invalid
        default: code = .unavailable
        }
        self.init(code, "\(error.message) (SQLSTATE \(state))")
    }
}
