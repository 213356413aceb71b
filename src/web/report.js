/* report.js: says how many cases a filter shows, and opens or closes all that are shown. The page works without it. */
"use strict";
for (const task of document.querySelectorAll(".task")) {
    const tools = task.querySelector(".tools"), cases = [...task.querySelectorAll(".case")];
    if (!tools || !cases.length)
        continue;
    const count = document.createElement("output"), button = document.createElement("button");
    const shown = () => cases.filter((c) => c.offsetParent !== null);
    const tell = () => { count.textContent = `${shown().length} of ${cases.length} cases shown`; };
    button.type = "button";
    button.textContent = "Open all shown";
    button.addEventListener("click", () => {
        const open = button.textContent.startsWith("Open");
        for (const c of shown())
            c.firstElementChild.open = open;
        button.textContent = open ? "Close all shown" : "Open all shown";
    });
    task.addEventListener("change", tell);
    tools.append(button, count);
    tell();
}
