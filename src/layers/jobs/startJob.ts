import { compactionJob } from "../../domain/compaction/compactionJob.ts"
import { flushJob } from "../../domain/compaction/flushJob.ts"
import type { JobResult } from "../../domain/compaction/JobSpec.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import type { Job } from "./protocol.ts"

const tools = { crc32, codecs }

/** The step machine of a job, with the checksum and the codecs of this process. */
export const startJob = (job: Job): StepMachine<JobResult> => (job.kind === "flush" ? flushJob(job.spec, tools) : compactionJob(job.spec, tools))
