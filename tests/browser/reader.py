"""Somebody who reads and runs notebooks in JupyterLab: what they click, and what they see."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

from runbook_lib import wait

WIDTH, HEIGHT = 1440, 1100  # a laptop's
PATIENCE = 600.0  # seconds for all cells of one notebook, on a busy machine
CLICK = 180_000.0  # milliseconds for JupyterLab to show what was asked for; its first page takes longest
SHOT = 3000  # pixels of a notebook in one screenshot
# The notebook that is shown, as numbers and texts.
LOOK = """() => {
  const panel = [...document.querySelectorAll('.jp-NotebookPanel')].find(each => each.offsetParent);
  if (!panel) return null;
  const all = (where, selector) => [...where.querySelectorAll(selector)];
  const output = mime => all(panel, `.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.${mime}"]`);
  return {
    prompts: all(panel, '.jp-CodeCell').map(cell => cell.querySelector('.jp-InputPrompt').textContent.trim()),
    status: panel.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status,
    errors: output('error').map(each => each.innerText),
    warnings: output('stderr').map(each => each.innerText),
    headings: all(panel, '.jp-MarkdownOutput :is(h1,h2,h3,h4,h5,h6)').map(each => [+each.tagName[1], each.innerText]),
    pictures: all(panel, '.jp-CodeCell').map(cell => all(cell, '.jp-OutputArea-output :is(img,svg)')
      .filter(each => !each.parentElement.closest('svg'))
      .map(each => ({
        width: each.naturalWidth ?? each.getBoundingClientRect().width,
        height: each.naturalHeight ?? each.getBoundingClientRect().height,
        words: each.getAttribute('alt') || each.getAttribute('aria-label') || '',
      }))),
    wide: all(panel, '.jp-OutputArea-output, .jp-MarkdownOutput, .jp-Notebook')
      .filter(each => each.clientWidth && each.scrollWidth > each.clientWidth + 1)
      .map(each => `${each.scrollWidth} > ${each.clientWidth}: ${each.innerText.slice(0, 80)}`),
    kernel: document.querySelector('#jp-main-statusbar')?.innerText ?? '',
    notices: all(document, '.Toastify__toast').map(each => each.innerText),
  };
}"""
SCROLL = """top => {
  const panel = [...document.querySelectorAll('.jp-NotebookPanel')].find(each => each.offsetParent);
  const scrolled = [...panel.querySelectorAll('*')].find(each => each.scrollHeight > each.clientHeight + 1
    && ['auto', 'scroll'].includes(getComputedStyle(each).overflowY) && each.querySelector('.jp-Cell'));
  if (!scrolled) return [0, 1];
  scrolled.scrollTop = top;
  return [scrolled.scrollHeight, scrolled.clientHeight];
}"""


@dataclass(frozen=True)
class Reader:
    """Someone at JupyterLab's page.

    Args:
        page: the browser's page.
        address: JupyterLab's, as the terminal printed it, with the token.
        shots: folder for screenshots.
        say: tells how far it is.
    """

    page: Page
    address: str
    shots: Path
    say: Callable[[str], None]

    def open(self, step: str) -> None:
        """Open a notebook, and wait until its kernel is there."""
        self.say(f"{step}: opening")
        # A new workspace: JupyterLab would open again what was open last, each with a kernel of its own.
        self.page.goto(re.sub(r"/tree/[^?]*", f"/tree/{step}.ipynb", self.address) + "&reset", timeout=CLICK)
        current = self.page.locator("#jp-main-dock-panel .lm-TabBar-tab.jp-mod-current", has_text=f"{step}.ipynb")
        current.wait_for(timeout=CLICK)
        # By the status bar: the notebook's own indicator says idle from the first, and what is run then is lost.
        wait.until(
            self.look,
            lambda seen: bool(seen and seen["prompts"] and "| Idle" in seen["kernel"]),
            what=f"{step}'s kernel",
            timeout=PATIENCE,
            interval=0.5,
            describe=lambda seen: f"{_told(seen)}; {seen and seen['kernel']}",
        )

    def look(self) -> dict[str, Any] | None:
        """What the notebook shows."""
        return self.page.evaluate(LOOK)

    def menu(self, name: str, item: str) -> None:
        """Choose an item of a menu."""
        self.page.get_by_role("menuitem", name=name, exact=True).click(timeout=CLICK)
        self.page.locator(".lm-Menu-item", has=self.page.get_by_text(item, exact=True)).click(timeout=CLICK)

    def cell(self, number: int) -> Locator:
        """A code cell, from 0."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-CodeCell").nth(number)

    def run_all(self, step: str) -> dict[str, Any]:
        """Run > Run All Cells, and what is seen when all have run, or one has failed."""
        self.menu("Run", "Run All Cells")
        return self.has_run(step)

    def run_until(self, step: str, number: int) -> dict[str, Any]:
        """Run all cells above a code cell."""
        self.cell(number).locator(".jp-InputPrompt").click(timeout=CLICK)
        self.menu("Run", "Run All Above Selected Cell")
        return self.has_run(step, number)

    def restart_and_run_all(self, step: str) -> dict[str, Any]:
        """Kernel > Restart Kernel and Run All Cells…, confirmed."""
        self.menu("Kernel", "Restart Kernel and Run All Cells…")
        self.page.locator(".jp-Dialog .jp-mod-accept").click(timeout=CLICK)
        return self.has_run(step)

    def has_run(self, step: str, number: int | None = None) -> dict[str, Any]:
        """Wait until the first code cells, by default all, have run one after another, or one has failed."""

        def done(seen: dict[str, Any] | None) -> bool:
            assert seen, "the notebook is gone"
            self.say(f"{step}: {_told(seen)}")
            if seen["errors"]:
                return True
            return seen["status"] == "idle" and in_turn(seen["prompts"][:number])

        wait.until(self.look, _is_at_work, what=f"{step}'s first cell", timeout=PATIENCE, interval=0.05, describe=_told)
        seen = wait.until(self.look, done, what=f"{step}'s cells", timeout=PATIENCE, interval=1.0, describe=_told)
        assert seen
        return seen

    def close(self, step: str) -> None:
        """File > Close and Shut Down Notebook…: the kernel ends, and with it the record of the session.

        Others may stand open beside it: JupyterLab opens again what was open last.
        """
        self.menu("File", "Close and Shut Down Notebook…")
        confirm = self.page.locator(".jp-Dialog .jp-mod-accept")
        tab = self.page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel", has_text=f"{step}.ipynb")

        def left() -> int:
            if confirm.count():
                confirm.first.click(timeout=CLICK)
            return tab.count()

        wait.until(left, lambda count: not count, what="the notebook to close", timeout=60)

    def photograph(self, step: str) -> None:
        """Screenshots of the whole notebook, in both themes; JupyterLab is set to follow the system's."""
        self.page.set_viewport_size({"width": WIDTH, "height": SHOT})
        for theme, light in (("dark", "false"), ("light", "true")):
            self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached", timeout=CLICK)
            # JupyterLab hides everything for a frame when the theme has changed.
            self.page.locator(".jp-NotebookPanel:visible").wait_for(timeout=CLICK)
            top, number, height = 0, 1, 1
            while top < height:
                height, visible = self.page.evaluate(SCROLL, top)
                self.page.screenshot(path=self.shots / f"{step}-{theme}-{number}.png", timeout=CLICK)
                top, number = top + visible, number + 1
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def in_turn(prompts: Sequence[str]) -> bool:
    """Whether code cells have run one after another in a new kernel, by their prompts.

    A collapsed one has an empty prompt; that it has run shows in the next one's number. Pure.
    """
    return all(prompt in ("", f"[{number}]:") for number, prompt in enumerate(prompts, start=1))


def _is_at_work(seen: dict[str, Any] | None) -> bool:
    return bool(seen and "[*]:" in seen["prompts"])


def _told(seen: dict[str, Any] | None) -> str:
    if not seen:
        return "no notebook"
    shown = [prompt.strip("[]: ") for prompt in seen["prompts"] if prompt]  # a collapsed cell's is empty
    return f"{sum(map(str.isdecimal, shown))} of {len(shown)} cells have run, kernel {seen['status']}"
