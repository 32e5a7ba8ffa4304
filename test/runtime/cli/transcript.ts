/** Transcripts of the command line: their format (test/scripts/README.md), how one is run, and how what it answers is written. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import type { CommandLine } from "./commandLine.ts"

export interface Step {
  /** Empty lines and comments before the command, as they are in the file. */
  readonly before: ReadonlyArray<string>
  readonly command: ReadonlyArray<string>
}

export interface Transcript {
  readonly steps: ReadonlyArray<Step>
  readonly replacements: ReadonlyArray<readonly [pattern: RegExp, text: string]>
}

export interface Answer {
  readonly out: string
  readonly err: string
  readonly code: number
}

export const parseTranscript = (text: string): Transcript => {
  const steps: Array<Step> = []
  const replacements: Array<readonly [RegExp, string]> = []
  let between: Array<string> = []
  const lines = text.replace(/\n$/, "").split("\n")
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    if (!line.startsWith("$ ")) {
      between.push(line)
      const given = steps.length === 0 ? /^~ (.+) => (.*)$/.exec(line) : null
      if (given !== null) replacements.push([new RegExp(given[1]!, "gm"), given[2]!])
      continue
    }
    const command = [line.slice(2)]
    while (lines[i + 1]?.startsWith("> ") === true) command.push(lines[++i]!.slice(2))
    steps.push({ before: steps.length === 0 ? between : commentOf(between), command })
    between = []
  }
  return { steps, replacements }
}

/** Of the lines between two commands, those that are not the first one's answer: from the empty line on that begins the last run of empty lines and comments. */
const commentOf = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  let start = lines.length
  for (let i = lines.length - 1; i >= 0 && (lines[i] === "" || lines[i]!.startsWith("#")); i--) if (lines[i] === "") start = i
  return lines.slice(start)
}

const varying: ReadonlyArray<readonly [RegExp, string]> = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "<date>"],
  [/\d[\d.,]* (?:[kMGT]?B|entries|MB)\/s|\b\d[\d.,]*\/s/g, "<rate>"],
  [/\b\d+ h \d\d m\b|\b\d+ m \d\d s\b|\b\d+(?:\.\d+)? (?:µs|ms|s)\b/g, "<time>"],
  [/("(?:milliseconds|seconds|\w+Ms)":)[\d.e-]+/g, "$1<n>"],
  [/("pid":|\b(?:process|pid) )\d+/g, "$1<pid>"],
  // A right-aligned cell is padded to a width that was that of the number.
  [/ {2,}(<(?:time|rate)>)/g, "  $1"]
]

const render = (transcript: Transcript, answers: ReadonlyArray<Answer>, here: string): string => {
  const clean = (text: string): string =>
    [...varying, ...transcript.replacements].reduce(
      (known, [pattern, replacement]) => known.replace(pattern, replacement),
      text.replaceAll(here, "<here>")
    )
  const lines: Array<string> = []
  transcript.steps.forEach((step, i) => {
    const { code, err, out } = answers[i]!
    lines.push(...step.before, ...step.command.map((line, n) => `${n === 0 ? "$" : ">"} ${line}`))
    if (out !== "") lines.push(...(out.endsWith("\n") ? clean(out).slice(0, -1) : `${clean(out)}[no newline]`).split("\n"))
    if (err !== "")
      lines.push(
        ...clean(err)
          .replace(/\n$/, "")
          .split("\n")
          .map((line) => `! ${line}`.trimEnd())
      )
    if (code !== 0) lines.push(`[exit ${code}]`)
  })
  return `${lines.join("\n")}\n`
}

/** Runs a transcript in `folder`, which must not exist yet, and answers with the text that the file should have. */
export const runTranscript = async (transcript: Transcript, commandLine: CommandLine, folder: string): Promise<string> => {
  const here = path.join(folder, "here")
  fs.mkdirSync(here, { recursive: true })
  // One shell for all commands. What each answers goes to files, so that neither stream waits for the other.
  const script = transcript.steps.map(
    ({ command }, i) => `{\n${command.join("\n")}\n} </dev/null >"$answers/${i}.out" 2>"$answers/${i}.err"\necho $? >"$answers/${i}.code"\n`
  )
  const child = spawn("bash", ["--norc", "--noprofile", "-c", script.join("")], {
    cwd: here,
    env: { ...commandLine.env, answers: folder },
    stdio: ["ignore", "ignore", "inherit"]
  })
  await once(child, "close")
  const read = (name: string): string => fs.readFileSync(path.join(folder, name), "utf8")
  const answers = transcript.steps.map((_, i) => ({ out: read(`${i}.out`), err: read(`${i}.err`), code: Number(read(`${i}.code`)) }))
  const text = render(transcript, answers, here)
  const again = render(parseTranscript(text), answers, here)
  if (again !== text) throw new Error("an answer of this transcript reads like a comment or a command: print something else")
  return text
}
