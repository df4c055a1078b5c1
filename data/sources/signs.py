"""The 43 signs of the German traffic sign recognition benchmark, in its order.

The numbers are the `ClassId` of GTSRB (Stallkamp, Schlipsing, Salmen, Igel: The German Traffic Sign
Recognition Benchmark, IJCNN 2011). Sources and generator both take names and shares from here.
"""

TASK = "sign"

# Name of each class, and how many training pictures the benchmark has of it.
TRAINING_PICTURES = {
    "speed limit 20": 210,
    "speed limit 30": 2220,
    "speed limit 50": 2250,
    "speed limit 60": 1410,
    "speed limit 70": 1980,
    "speed limit 80": 1860,
    "end of speed limit 80": 420,
    "speed limit 100": 1440,
    "speed limit 120": 1410,
    "no passing": 1470,
    "no passing for trucks": 2010,
    "right-of-way at next intersection": 1320,
    "priority road": 2100,
    "yield": 2160,
    "stop": 780,
    "no vehicles": 630,
    "no trucks": 420,
    "no entry": 1110,
    "general caution": 1200,
    "curve left": 210,
    "curve right": 360,
    "double curve": 330,
    "bumpy road": 390,
    "slippery road": 510,
    "road narrows on the right": 270,
    "road work": 1500,
    "traffic signals": 600,
    "pedestrians": 240,
    "children crossing": 540,
    "bicycles crossing": 270,
    "beware of ice or snow": 450,
    "wild animals": 780,
    "end of all limits": 240,
    "turn right ahead": 689,
    "turn left ahead": 420,
    "ahead only": 1200,
    "straight or right": 390,
    "straight or left": 210,
    "keep right": 2070,
    "keep left": 300,
    "roundabout": 360,
    "end of no passing": 240,
    "end of no passing for trucks": 240,
}
SIGNS = tuple(TRAINING_PICTURES)
