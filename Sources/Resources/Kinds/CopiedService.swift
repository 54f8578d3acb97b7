// SPDX-License-Identifier: Apache-2.0

/// A new service that copies another one (`templateRef`), as it was found when its restore was planned: from then on it is
/// this, whatever becomes of the other one.
package struct CopiedService: Codable, Equatable, Sendable {
    /// The ManagedService that `templateRef` names.
    package var from: String
    /// Its StatefulSet.
    package var workload: String
    /// What the manifest says, and in the fields where it says nothing, what was copied.
    package var service: NewService
    /// Settings from the command line of the server that was copied, each `name=value`.
    package var parameters: [String]?
    /// What of the other service's pod was not copied, in words.
    package var omitted: [String]?

    package init(
        from: String, workload: String, service: NewService, parameters: [String]? = nil, omitted: [String]? = nil
    ) {
        self.from = from
        self.workload = workload
        self.service = service
        self.parameters = parameters
        self.omitted = omitted
    }
}
