// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What a scan is asked for, from the command line.
package struct ScanRequest {
    package var bucket = ""
    /// The archive without its major version; of a repository, the prefix that archives are looked for below. Without
    /// slashes at either end.
    package var path = ""
    package var major: Int?
    /// Only say whether anything lies below the path.
    package var expectEmpty = false
    package var comparing: SourceFingerprint?

    /// Look at every archive below the path.
    package var isRepository = false
    /// As many archives as are looked at.
    package var maxArchives = 100
    /// A folder with what the last scan found.
    package var known: String?
    /// List everything anew, and not only what came after the last scan.
    package var isFull = false

    /// A request that asks for nothing yet.
    package init() {}
}
