/** The text for measuring quantization: several kinds of plain English, written for this purpose. */
export const SAMPLE_TEXT = `The harbour was quiet in the early morning. Two fishing boats lay at the long pier, and a woman in a yellow coat was mending a net on the deck of the smaller one. She had learned the knots from her father, who had learned them from his, and her fingers did not need her eyes any more. "You are late," she said without looking up. The boy put down his bag and sat on a coil of rope. He had run all the way from the station.

Water boils at a lower temperature on a mountain than at the sea. The air above presses less on its surface, so that its molecules need less energy to leave the liquid. At three thousand meters water boils at about ninety degrees, which is why potatoes take longer to cook there.

To install the program, copy the folder to your computer and run the script in it. If the script reports an error, check that you may write to the folder, then try again. Your settings are kept in a file of their own, and they are not changed by an update.

The council met on Tuesday to discuss the new bridge. Most of its members were in favor, but the cost, which has risen by a third since last year, was questioned by several of them. A decision is expected before the end of the month. Until then the old bridge stays open to bicycles and to people on foot.
`;
