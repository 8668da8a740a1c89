import { t } from "../base/strings";
import type { Inspection } from "./inspection";

/** Why a view cannot show this of a run that was opened from a file, which no Retry changes; "" of other runs. */
export const needsModel = ({ trace }: Inspection): string =>
  trace.opened
    ? t("This run is from a file, and this needs its model. Type the text above to run it with the active model.")
    : "";
