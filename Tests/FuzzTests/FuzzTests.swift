// SPDX-License-Identifier: Apache-2.0

import Foundation
import FuzzKit
import Testing

/// The fuzzing program on a small scale; docs/fuzzing.md tells of the large one.
@Suite(.serialized) struct FuzzTests {
    /// The program as it was built beside this one. Whatever kills a decoder kills a child of it, and not the tests.
    private func fuzz(_ arguments: String...) throws -> (isFine: Bool, text: String) {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let process = Process()
        process.executableURL = own.deletingLastPathComponent().appendingPathComponent("fuzz")
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationReason == .exit && process.terminationStatus == 0, text)
    }

    @Test func whatBrokeADecoderOnceDoesNoLonger() throws {
        let result = try fuzz("--replay")
        #expect(result.isFine, "\(result.text)")
    }

    @Test func hostileBytesNeitherTrapNorSwellNorLie() throws {
        let result = try fuzz("--cases", "400", "--no-keep")
        #expect(result.isFine, "\(result.text)")
    }

    @Test func plantedMistakesAreFoundAndMadeSmall() throws {
        let result = try fuzz("--self-test")
        #expect(result.isFine, "\(result.text)")
    }

    // MARK: The parts

    @Test func everyDecoderHasItsOwnNameAndSomethingToBeginWith() {
        let names = FuzzDecoder.all.map(\.name)
        #expect(Set(names).count == names.count)
        for decoder in FuzzDecoder.all { #expect(!Corpus.inputs(of: decoder).isEmpty, "\(decoder.name)") }
    }

    @Test func theSameSeedGivesTheSameInputs() {
        for decoder in FuzzDecoder.all {
            let mutation = Mutation(decoder, corpus: Corpus.inputs(of: decoder))
            for index in 0..<20 {
                #expect(
                    mutation.input(seed: 3, index: index) == mutation.input(seed: 3, index: index), "\(decoder.name)")
            }
        }
    }

    @Test func inputsOfTheCorpusAreCutOffAtEveryByte() {
        let decoder = FuzzDecoder("a", .text) { _ in }
        let mutation = Mutation(decoder, corpus: [Array("abc".utf8), Array("x".utf8)])
        let cuts = (0..<6).map { String(decoding: mutation.input(seed: 1, index: $0 * 4 + 3), as: UTF8.self) }
        #expect(cuts == ["", "a", "ab", "abc", "", "x"])
    }

    @Test func anInputIsMadeAsSmallAsItsFaultAllows() async {
        let input = Array("{\"name\":\"orders\",\"size\":[1,2,3],\"other\":{\"key\":\"value\"}}".utf8)
        let small = await minimised(input, budget: 2_000) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            return text.contains("size") && text.contains("]")
        }
        #expect(String(decoding: small, as: UTF8.self) == "size]")
    }

    @Test func textInBase64IsWhatFoundationMakesOfIt() {
        for count in 0..<20 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + 200) }
            #expect(Packing.base64(bytes) == Data(bytes).base64EncodedString())
        }
    }
}
