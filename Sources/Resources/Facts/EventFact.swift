// SPDX-License-Identifier: Apache-2.0

/// `v1` Event, as far as decisions read it: what a controller tells of its attempts to make pods.
package struct EventFact: Resource {
    package static let resourceKind = eventKind

    package var metadata: ObjectMeta
    package var reason: String?
    package var message: String?
    package var firstTimestamp: Timestamp?
    package var lastTimestamp: Timestamp?
    package var eventTime: Timestamp?
    package var series: Series?

    package struct Series: Decodable, Equatable, Sendable {
        package var lastObservedTime: Timestamp?
    }

    package init(metadata: ObjectMeta, reason: String? = nil, message: String? = nil, lastTimestamp: Timestamp? = nil) {
        self.metadata = metadata
        self.reason = reason
        self.message = message
        self.lastTimestamp = lastTimestamp
    }

    /// When it was last true. Writers of old and of new Events say so in different fields.
    package var toldAt: Timestamp? {
        let said = [series?.lastObservedTime, lastTimestamp, eventTime, firstTimestamp]
        return said.compactMap { $0 }.max() ?? metadata.creationTimestamp
    }
}
