"""Takes the code out of Markdown pages, so that what they show is built and run.

    snippets.py FOLDER PAGE ...

Each ```cpp block that is a whole program, with #include and main(), becomes a source in FOLDER, named after page and line.
A block whose fence names a file ("```c reader.c") is part of a project: it becomes FOLDER/PAGE/NAME. Each line of a
```console block that begins with "$ assay" is run at once, with the PATH as it is: it must succeed, and where output
follows in the block, the first word of each line shown must be in what the command printed.
"""

import pathlib
import re
import subprocess
import sys

FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_console(page: str, line: int, block: str) -> bool:
    good = True
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        if not command.startswith("assay "):
            continue
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
        missing = [text.split()[0] for text in shown.splitlines() if text.split() and text.split()[0] not in done.stdout]
        if done.returncode != 0 or missing:
            why = f"exit status {done.returncode}: {done.stderr.strip()}" if done.returncode else f"prints no {missing[0]}"
            print(f"{page}:{line}: `{command}`: {why}", file=sys.stderr)
            good = False
        else:
            print(f"{page}:{line}: `{command}`: ok")
    return good


def main(folder: str, pages: list[str]) -> int:
    out = pathlib.Path(folder)
    out.mkdir(parents=True)
    good = True
    programs = 0
    for page in pages:
        text = pathlib.Path(page).read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            language, file_name, block = match.groups()
            if file_name:
                project = out / pathlib.Path(page).stem.lower()
                project.mkdir(exist_ok=True)
                (project / file_name).write_text(block, encoding="utf-8")
                programs += 1
            elif language == "cpp" and "#include" in block and re.search(r"\bint main\(", block):
                name = f"{pathlib.Path(page).stem.lower()}_{line}.cc"
                (out / name).write_text(f'#line {line + 1} "{page}"\n{block}', encoding="utf-8")
                programs += 1
            elif language == "console":
                good = run_console(page, line, block) and good
    if programs == 0:
        print("no program in any page", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print("usage: snippets.py FOLDER PAGE ...", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
