// SPDX-License-Identifier: Apache-2.0

package import Resources

extension Timestamp {
    /// As PostgreSQL and images take a recovery target: `2026-05-27 18:30:00.25 UTC`, whatever their time zone is.
    package var postgres: String {
        rfc3339.replacing("T", with: " ").replacing("Z", with: " UTC")
    }

    /// Reads a `timestamptz` as PostgreSQL writes it with DateStyle ISO: `2026-11-20 10:44:26.118846+00`, where the zone may
    /// have minutes. `nil` for other text, a named zone for one.
    package init?(postgres text: some StringProtocol) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, let sign = parts[1].lastIndex(where: { $0 == "+" || $0 == "-" }) else { return nil }
        let zone = parts[1][sign...]
        let full = zone.contains(":") ? String(zone) : "\(zone):00"
        self.init(rfc3339: "\(parts[0])T\(parts[1][..<sign])\(full)")
    }
}

/// Why recovery stopped, as a timeline's history has it. A moment in it is told in UTC: the server wrote it in the zone that
/// its own settings name.
func recoveredTo(_ reason: String?) -> String? {
    guard let reason, let space = reason.firstIndex(of: " "),
        let moment = Timestamp(postgres: reason[reason.index(after: space)...])
    else { return reason }
    return "\(reason[..<space]) \(moment.postgres)"
}
