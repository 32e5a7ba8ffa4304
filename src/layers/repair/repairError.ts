import { NotADatabase, type OpenError } from "../../domain/errors.ts"
import { openError } from "../Recovery.ts"
import { NothingToRepair } from "./surveyDirectory.ts"

/** Turns what looking into a damaged directory throws into what it promises to fail with; anything else is a defect. */
export const repairError = (directory: string, cause: unknown): OpenError =>
  cause instanceof NothingToRepair
    ? new NotADatabase({ path: directory, detail: "nothing that a database could be made of is in it" })
    : openError(directory, cause)
