import { t } from "../base/strings";
import type { Inspection } from "./inspection";

/** Explains why a view is not available for a trace from a file; "" for other traces. */
export const needsModel = ({ trace }: Inspection): string =>
  trace.opened
    ? t(
        "This needs the model, which a trace file does not contain. Type the text above to run it with the active model.",
      )
    : "";
